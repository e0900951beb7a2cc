"""Reads a SQLite file; each answer comes as one row, for the reason given in sqlite_writer."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from infra.event_store.backend import COUNTED_AT_MOST, LogFilter
from infra.event_store.batch import instant, microseconds
from infra.event_store.errors import StoreUnavailable
from infra.messages.events import PARTITIONS, Behind, Checkpoint, CommandRecord, Metadata, Recorded

# Data may be any bytes, metadata is always text.
EVENT = """json_array({key}, position, originator_id, originator_version, topic, hex(state),
    CAST(metadata AS TEXT), partition)"""

STREAMS = f"""
SELECT json_group_array({EVENT.format(key="wanted.key")})
FROM json_each(?) AS wanted CROSS JOIN stored_events
WHERE originator_id = wanted.value ->> 0 AND originator_version > wanted.value ->> 1
"""  # noqa: S608 - a constant of ours

LOG = f"SELECT json_group_array({EVENT.format(key=0)}) FROM (SELECT * FROM stored_events WHERE "  # noqa: S608 - ours

COMMANDS = """
SELECT json_group_array(json_array(command_id, hex(fingerprint), hex(reply)))
FROM commands WHERE command_id IN (SELECT value FROM json_each(?))
"""

NOTES = "SELECT json_group_array(json_array(key, hex(value))) FROM notes WHERE kind = ?"
NOTES_OF_KEYS = NOTES + " AND key IN (SELECT value FROM json_each(?))"  # noqa: S608 - a constant of ours

HEAD = "SELECT coalesce(max(position), 0) FROM stored_events"

PARTITION_HEADS = """
SELECT json_group_array(coalesce((SELECT max(position) FROM stored_events
    WHERE partition = wanted.value AND position <= ?), 0)) FROM json_each(?) AS wanted
"""

BEHIND = f"""
SELECT json_group_array(json_array(
    (SELECT count(*) FROM (SELECT 1 FROM stored_events
        WHERE partition = wanted.key AND position > wanted.value LIMIT {COUNTED_AT_MOST})),
    (SELECT recorded_at FROM stored_events
        WHERE partition = wanted.key AND position > wanted.value ORDER BY position LIMIT 1)))
FROM json_each(?) AS wanted
"""  # noqa: S608 - a constant of ours

CHECKPOINTS = """
SELECT json_group_array(json_array(context, partition, position, sequence, sequence_position, created))
FROM checkpoints WHERE reader = ?
"""

HIGHEST = 2**63 - 1

encode = msgspec.json.Encoder().encode
decode_events = msgspec.json.Decoder(list[tuple[int, int, str, int, str, str, str, int]]).decode
decode_metadata = msgspec.json.Decoder(Metadata).decode
decode_commands = msgspec.json.Decoder(list[tuple[str, str, str]]).decode
decode_notes = msgspec.json.Decoder(list[tuple[str, str]]).decode
decode_heads = msgspec.json.Decoder(list[int]).decode
decode_behind = msgspec.json.Decoder(list[tuple[int, int | None]]).decode
decode_checkpoints = msgspec.json.Decoder(list[tuple[str, int, int, int, int, str]]).decode


class SQLiteReader:
    """A connection that reads."""

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path

    def _value(self, statement: str, *values: Any) -> Any:
        try:
            return self._connection.execute(statement, values).fetchone()[0]
        except sqlite3.Error as error:
            msg = f"the store {self._path} cannot be read ({error}): check its disk and file"
            raise StoreUnavailable(msg) from error

    def streams(self, wanted: Sequence[tuple[str, int]]) -> list[list[Recorded]]:
        """The events of streams, of each those after a version."""
        rows = decode_events(self._value(STREAMS, encode(wanted).decode()))
        streams: list[list[Recorded]] = [[] for _ in wanted]
        for row in rows:
            streams[row[0]].append(_recorded(row))
        for stream in streams:
            # The index gives them in this order; SQLite does not promise it of an aggregate.
            stream.sort(key=_version)
        return streams

    def commands(self, wanted: Sequence[str]) -> list[CommandRecord | None]:
        """What is known of commands, by id."""
        known = {
            command_id: CommandRecord(command_id, bytes.fromhex(fingerprint), bytes.fromhex(reply))
            for command_id, fingerprint, reply in decode_commands(
                self._value(COMMANDS, encode(wanted).decode())
            )
        }
        return [known.get(command_id) for command_id in wanted]

    def notes(self, wanted: Sequence[tuple[str, Sequence[str] | None]]) -> list[dict[str, bytes]]:
        """For each kind, the notes with the keys, or all."""
        return [
            {
                key: bytes.fromhex(value)
                for key, value in decode_notes(
                    self._value(NOTES, kind)
                    if keys is None
                    else self._value(NOTES_OF_KEYS, kind, encode(keys).decode())
                )
            }
            for kind, keys in wanted
        ]

    def log(self, after: int, limit: int, wanted: LogFilter) -> list[Recorded]:
        """Events after a position, in order."""
        # Within a stream versions are ordered like positions, and an index leads to its few events.
        within = wanted.stream is not None
        clauses, values = ["+position > ?" if within else "position > ?"], list[Any]([after])
        if wanted.partitions is not None and len(set(wanted.partitions)) < PARTITIONS:
            clauses.append("partition IN (SELECT value FROM json_each(?))")
            values.append(encode(list(wanted.partitions)).decode())
        if wanted.stream is not None:
            clauses.append("originator_id = ?")
            values.append(wanted.stream)
        if wanted.names is not None:
            clauses.append("topic IN (SELECT value FROM json_each(?))")
            values.append(encode(list(wanted.names)).decode())
        if wanted.since is not None:
            clauses.append("recorded_at >= ?")
            values.append(microseconds(wanted.since))
        if wanted.until is not None:
            clauses.append("recorded_at < ?")
            values.append(microseconds(wanted.until))
        order = "originator_version" if within else "position"
        statement = f"{LOG}{' AND '.join(clauses)} ORDER BY {order} LIMIT ?)"
        events = [_recorded(row) for row in decode_events(self._value(statement, *values, limit))]
        events.sort(key=_position)
        return events

    def head(self) -> int:
        """The last position; 0 when there is none."""
        return int(self._value(HEAD))

    def partition_heads(self, upto: int | None) -> list[int]:
        """Each partition's last position, not above `upto`."""
        partitions = encode(range_of_partitions).decode()
        return decode_heads(self._value(PARTITION_HEADS, HIGHEST if upto is None else upto, partitions))

    def behind(self, positions: Sequence[int]) -> list[Behind]:
        """For each partition, what lies after its position."""
        return [
            Behind(events, None if oldest is None else instant(oldest))
            for events, oldest in decode_behind(self._value(BEHIND, encode(list(positions)).decode()))
        ]

    def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        """A reader's checkpoints, by context and partition."""
        return {
            (context, partition): Checkpoint(
                position=position,
                sequence=sequence,
                sequence_position=sequence_position,
                created=created,
            )
            for context, partition, position, sequence, sequence_position, created in decode_checkpoints(
                self._value(CHECKPOINTS, reader)
            )
        }

    def interrupt(self) -> None:
        """Let the statement under way fail."""
        with contextlib.suppress(sqlite3.ProgrammingError):
            self._connection.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()


range_of_partitions = list(range(PARTITIONS))


def _recorded(row: tuple[int, int, str, int, str, str, str, int]) -> Recorded:
    _, position, stream, version, name, data, metadata, partition = row
    return Recorded(
        position, stream, version, name, bytes.fromhex(data), decode_metadata(metadata), partition
    )


def _version(event: Recorded) -> int:
    return event.version


def _position(event: Recorded) -> int:
    return event.position
