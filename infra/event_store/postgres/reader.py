"""Reads a PostgreSQL database."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import psycopg

from infra.event_store.backend import COUNTED_AT_MOST, LogFilter
from infra.event_store.batch import instant, microseconds
from infra.event_store.postgres.connection import Line
from infra.messages.events import PARTITIONS, Behind, Checkpoint, CommandRecord, Metadata, Recorded

COLUMNS = "notification_id, originator_id, originator_version, topic, state, metadata, partition"

STREAMS = f"""
SELECT {COLUMNS}, nth FROM unnest(%s::text[], %s::bigint[]) WITH ORDINALITY AS wanted (stream, after, nth)
JOIN stored_events ON originator_id = stream AND originator_version > after
ORDER BY nth, originator_version
"""  # noqa: S608 - a constant of ours

LOG = f"SELECT {COLUMNS} FROM stored_events WHERE "  # noqa: S608 - a constant of ours

COMMANDS = "SELECT command_id, fingerprint, reply FROM commands WHERE command_id = ANY(%s::text[])"

NOTES = "SELECT key, value FROM notes WHERE kind = %s"
NOTES_OF_KEYS = NOTES + " AND key = ANY(%s::text[])"

HEAD = "SELECT coalesce(max(notification_id), 0) FROM stored_events"

PARTITION_HEADS = """
SELECT coalesce((SELECT max(notification_id) FROM stored_events
    WHERE partition = number AND notification_id <= %s::bigint), 0)
FROM generate_series(0, %s) AS number ORDER BY number
"""

BEHIND = f"""
SELECT (SELECT count(*) FROM (SELECT 1 FROM stored_events
        WHERE partition = nth - 1 AND notification_id > after LIMIT {COUNTED_AT_MOST}) AS counted),
    (SELECT recorded_at FROM stored_events
        WHERE partition = nth - 1 AND notification_id > after ORDER BY notification_id LIMIT 1)
FROM unnest(%s::bigint[]) WITH ORDINALITY AS wanted (after, nth) ORDER BY nth
"""  # noqa: S608 - a constant of ours

CHECKPOINTS = """
SELECT context, partition, position, sequence, sequence_position, created FROM checkpoints WHERE reader = %s
"""

HIGHEST = 2**63 - 1

decode_metadata = msgspec.json.Decoder(Metadata).decode


class PostgresReader:
    """A connection that reads."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def _rows(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        try:
            return self._query(statement, values)
        except (psycopg.OperationalError, psycopg.InterfaceError) as error:
            if not self._line.lost:
                raise self._line.unavailable(error) from error
        # The connection was lost since it was last used: reading again is harmless.
        try:
            return self._query(statement, values)
        except psycopg.Error as error:
            raise self._line.unavailable(error) from error

    def _query(self, statement: str, values: Sequence[Any]) -> list[tuple[Any, ...]]:
        return self._line.open().execute(statement, values, binary=True).fetchall()

    def streams(self, wanted: Sequence[tuple[str, int]]) -> list[list[Recorded]]:
        """The events of streams, of each those after a version."""
        streams: list[list[Recorded]] = [[] for _ in wanted]
        for row in self._rows(STREAMS, [stream for stream, _ in wanted], [after for _, after in wanted]):
            streams[row[7] - 1].append(_recorded(row))
        return streams

    def commands(self, wanted: Sequence[str]) -> list[CommandRecord | None]:
        """What is known of commands, by id."""
        known = {row[0]: CommandRecord(*row) for row in self._rows(COMMANDS, list(wanted))}
        return [known.get(command_id) for command_id in wanted]

    def notes(self, wanted: Sequence[tuple[str, Sequence[str] | None]]) -> list[dict[str, bytes]]:
        """For each kind, the notes with the keys, or all."""
        return [
            dict(self._rows(NOTES, kind) if keys is None else self._rows(NOTES_OF_KEYS, kind, list(keys)))
            for kind, keys in wanted
        ]

    def log(self, after: int, limit: int, wanted: LogFilter) -> list[Recorded]:
        """Events after a position, in order."""
        clauses, values = ["notification_id > %s"], list[Any]([after])
        if wanted.partitions is not None and len(set(wanted.partitions)) < PARTITIONS:
            clauses.append("partition = ANY(%s::smallint[])")
            values.append(list(wanted.partitions))
        if wanted.stream is not None:
            clauses.append("originator_id = %s")
            values.append(wanted.stream)
        if wanted.names is not None:
            clauses.append("topic = ANY(%s::text[])")
            values.append(list(wanted.names))
        if wanted.since is not None:
            clauses.append("recorded_at >= %s")
            values.append(microseconds(wanted.since))
        if wanted.until is not None:
            clauses.append("recorded_at < %s")
            values.append(microseconds(wanted.until))
        # Within a stream versions are ordered like positions, and an index leads to its few events.
        order = "notification_id" if wanted.stream is None else "originator_version"
        statement = f"{LOG}{' AND '.join(clauses)} ORDER BY {order} LIMIT %s"
        return [_recorded(row) for row in self._rows(statement, *values, limit)]

    def head(self) -> int:
        """The last position; 0 when there is none."""
        return int(self._rows(HEAD)[0][0])

    def partition_heads(self, upto: int | None) -> list[int]:
        """Each partition's last position, not above `upto`."""
        rows = self._rows(PARTITION_HEADS, HIGHEST if upto is None else upto, PARTITIONS - 1)
        return [head for (head,) in rows]

    def behind(self, positions: Sequence[int]) -> list[Behind]:
        """For each partition, what lies after its position."""
        return [
            Behind(events, None if oldest is None else instant(oldest))
            for events, oldest in self._rows(BEHIND, list(positions))
        ]

    def checkpoints(self, reader: str) -> dict[tuple[str, int], Checkpoint]:
        """A reader's checkpoints, by context and partition."""
        return {
            (context, partition): Checkpoint(
                position=position, sequence=sequence, sequence_position=sequence_position, created=created
            )
            for context, partition, position, sequence, sequence_position, created in self._rows(
                CHECKPOINTS, reader
            )
        }

    def interrupt(self) -> None:
        """Let a read that hangs fail."""
        self._line.interrupt()

    def close(self) -> None:
        """Close the connection."""
        self._line.close()


def _recorded(row: tuple[Any, ...]) -> Recorded:
    position, stream, version, name, data, metadata, partition = row[:7]
    return Recorded(position, stream, version, name, data, decode_metadata(metadata), partition)
