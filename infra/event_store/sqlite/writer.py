"""Writes groups of appends to a SQLite file, in few steps.

SQLite lets go of Python's interpreter lock at every step of a statement, and a busy event loop takes up to
5 ms to give it back. So what is read comes as one row of JSON, and what is written goes in as statements of
many rows: a group of 64 costs about ten steps instead of hundreds.
"""

from __future__ import annotations

import contextlib
import itertools
import sqlite3
from collections.abc import Iterable, Sequence
from pathlib import Path

import msgspec

from infra.event_store.batch import CheckpointKey, Group, Standing, row_of
from infra.event_store.errors import Outcome, StoreReplaced, StoreUnavailable
from infra.event_store.sqlite.file import OpenedFile
from infra.messages.events import Append, Checkpoint, CommandRecord, Recorded

ROWS = 64
"""Rows of one INSERT statement: of each number of rows up to here a prepared statement is kept."""

STANDING = """
SELECT
    (SELECT max(position) FROM stored_events),
    (SELECT json_group_array(json_array(wanted.value,
        (SELECT max(originator_version) FROM stored_events WHERE originator_id = wanted.value)))
        FROM json_each(?1) AS wanted),
    (SELECT json_group_array(json_array(command_id, hex(fingerprint), hex(reply)))
        FROM commands WHERE command_id IN (SELECT value FROM json_each(?2))),
    (SELECT json_group_array(json_array(reader, context, partition, position))
        FROM json_each(?3) AS wanted CROSS JOIN checkpoints
        WHERE reader = wanted.value ->> 0 AND context = wanted.value ->> 1 AND partition = wanted.value ->> 2)
"""

EVENTS = "INSERT INTO stored_events VALUES "
COMMANDS = "INSERT INTO commands VALUES "
CHECKPOINTS = "INSERT OR REPLACE INTO checkpoints VALUES "
NOTES = "INSERT OR REPLACE INTO notes VALUES "
DELETE_NOTES = """
DELETE FROM notes WHERE (kind, key) IN (SELECT value ->> 0, value ->> 1 FROM json_each(?))
"""

encode = msgspec.json.Encoder().encode
decode_versions = msgspec.json.Decoder(list[tuple[str, int | None]]).decode
decode_commands = msgspec.json.Decoder(list[tuple[str, str, str]]).decode
decode_checkpoints = msgspec.json.Decoder(list[tuple[str, str, int, int]]).decode


class SQLiteWriter:
    """The file's only writer."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._file = OpenedFile(path)
        self._written = 0
        """The last position this process has committed."""

    def write(self, appends: Sequence[Append]) -> list[Outcome]:
        """Write in one transaction what holds, and answer each append."""
        group = Group(appends)
        execute = self._connection.execute
        try:
            with self._file.changing():
                execute("BEGIN IMMEDIATE")
                try:
                    outcomes = group.judge(self._standing(group))
                    if group.admitted:
                        self._insert(group)
                        execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        execute("ROLLBACK")
            if group.events:
                self._written = group.events[-1].position
        except sqlite3.IntegrityError:
            raise
        except (sqlite3.OperationalError, sqlite3.InternalError) as error:
            raise self._unavailable(error) from error
        except sqlite3.DatabaseError as error:
            # "database disk image is malformed" is the base class itself; the others are a value's fault.
            if type(error) is sqlite3.DatabaseError:
                raise self._unavailable(error) from error
            raise
        return outcomes

    def _standing(self, group: Group) -> Standing:
        head, versions, commands, checkpoints = self._connection.execute(
            STANDING,
            (_json(group.streams), _json(group.command_ids), _json(group.checkpoint_keys)),
        ).fetchone()
        if (head or 0) < self._written:
            raise StoreReplaced(f"the store {self._path}, which had position {self._written}, was exchanged")
        return Standing(
            positions=itertools.count((head or 0) + 1),
            versions={stream: version for stream, version in decode_versions(versions) if version},
            commands={
                command_id: CommandRecord(command_id, bytes.fromhex(fingerprint), bytes.fromhex(reply))
                for command_id, fingerprint, reply in decode_commands(commands)
            },
            checkpoints={
                (reader, context, partition): position
                for reader, context, partition, position in decode_checkpoints(checkpoints)
            },
        )

    def _insert(self, group: Group) -> None:
        self._insert_rows(EVENTS, group.events)
        self._insert_rows(COMMANDS, [(c.command_id, c.fingerprint, c.reply) for c in group.commands])
        self._insert_rows(CHECKPOINTS, [_checkpoint_row(*item) for item in group.checkpoints.items()])
        if group.notes:
            kept = [(*key, value) for key, value in group.notes.items() if value is not None]
            self._insert_rows(NOTES, kept)
            if len(kept) < len(group.notes):
                dropped = [key for key, value in group.notes.items() if value is None]
                self._connection.execute(DELETE_NOTES, (_json(dropped),))

    def _insert_rows(self, statement: str, rows: Sequence[tuple[object, ...]]) -> None:
        for start in range(0, len(rows), ROWS):
            chunk = rows[start : start + ROWS]
            row = f"({','.join('?' * len(chunk[0]))})"
            self._connection.execute(
                statement + ",".join([row] * len(chunk)), list(itertools.chain.from_iterable(chunk))
            )

    def _unavailable(self, error: sqlite3.Error) -> StoreUnavailable:
        return StoreUnavailable(
            f"the store {self._path} cannot be written ({error}): check its disk and file"
        )

    def put_back(self, events: Sequence[Recorded], commands: Sequence[CommandRecord]) -> None:
        """Write events where they stood, and the commands that caused them, in one transaction."""
        try:
            with self._file.changing():
                self._connection.execute("BEGIN IMMEDIATE")
                try:
                    self._insert_rows(EVENTS, [row_of(event) for event in events])
                    records = [(c.command_id, c.fingerprint, c.reply) for c in commands]
                    self._insert_rows("INSERT OR IGNORE INTO commands VALUES ", records)
                    self._connection.execute("COMMIT")
                finally:
                    if self._connection.in_transaction:
                        self._connection.execute("ROLLBACK")
        except sqlite3.Error as error:
            raise self._unavailable(error) from error

    def check(self) -> None:
        """Raises StoreReplaced if the file was exchanged."""
        self._file.check()

    def interrupt(self) -> None:
        """Let the statement under way fail."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


def _json(values: Iterable[object]) -> str:
    return encode(values if isinstance(values, (list, set)) else list(values)).decode()


def _checkpoint_row(key: CheckpointKey, checkpoint: Checkpoint) -> tuple[object, ...]:
    return (
        *key,
        checkpoint.position,
        checkpoint.sequence,
        checkpoint.sequence_position,
        checkpoint.created,
    )
