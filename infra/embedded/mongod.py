"""A real mongod as a process: how it is started, made a replica set, and what its log says of its end.

A write that finds the disk full ends the process; its journal keeps what was committed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from infra.embedded.servers import Process, listening

DATA = "mongod"
REPLICA_SET = "orderfold"
STARTING = '"msg":"MongoDB starting"'
FULL_DISK = ("No space left on device", "Disk quota exceeded", "File too large", '"error":28,')
PROBE_MS = 2000
ALREADY_INITIALIZED = 23
"""The server's error code for a replica set whose configuration names another address."""

OPTIONS = (
    *("--bind_ip", "127.0.0.1", "--nounixsocket", "--networkMessageCompressors", "disabled"),
    *("--replSet", REPLICA_SET, "--oplogSize", "128"),
    # Its own default is half of the memory: more than a development machine wants to spare.
    *("--wiredTigerCacheSizeGB", "0.25"),
    # Data and journal stay searchable: `orderfold verify --erased` looks for texts in files.
    *("--wiredTigerCollectionBlockCompressor", "none", "--wiredTigerJournalCompressor", "none"),
    *("--setParameter", "diagnosticDataCollectionEnabled=false"),
    # No line per connection, none per slow command.
    *("--quiet", "--slowms", str(2**31 - 1)),
)


class MongodProcess(Process):
    """Its log is JSON, and its last lines are about the end, not about the reason for it."""

    def last_line(self) -> str:
        """The error that it ended with, or the last thing it said."""
        last = super().last_line()
        log = self._log.read_text(errors="replace") if self._log.exists() else ""
        return next(_errors(log, "EF"), last)


def server(path: str, data: Path, log: Path, port: int, *further: str) -> Process:
    """A mongod on `data` with further options, ready when it is the primary of its replica set."""
    data.mkdir(parents=True, exist_ok=True)
    command = [path, "--dbpath", str(data), "--port", str(port), *OPTIONS, *further]
    return MongodProcess("mongod", command, log, lambda: _is_primary(port))


def _is_primary(port: int) -> bool:
    """Whether it takes writes; makes it the only member of its replica set if it is not yet."""
    if not listening(port):
        return False
    try:
        # A client left open holds up the next start by half a minute.
        with MongoClient[dict[str, Any]](
            "127.0.0.1",
            port,
            directConnection=True,
            serverSelectionTimeoutMS=PROBE_MS,
            connectTimeoutMS=PROBE_MS,
            socketTimeoutMS=10 * PROBE_MS,
        ) as client:
            hello = client.admin.command("hello")
            if hello.get("isreplicaset"):
                _join(client, f"127.0.0.1:{port}")
            return bool(hello["isWritablePrimary"])
    except PyMongoError:
        return False


def _join(client: MongoClient[dict[str, Any]], address: str) -> None:
    """Make it the one member, also if it was so at another port."""
    members = [{"_id": 0, "host": address}]
    try:
        client.admin.command({"replSetInitiate": {"_id": REPLICA_SET, "members": members}})
    except OperationFailure as error:
        if error.code != ALREADY_INITIALIZED:
            raise
        config = client.admin.command("replSetGetConfig")["config"]
        config |= {"members": members, "version": config["version"] + 1}
        client.admin.command({"replSetReconfig": config, "force": True})


def cannot_open(log: str) -> str:
    """Why the last start could not open the data; empty if it did, or found its disk full."""
    last = log.rpartition(STARTING)[2]
    if any(words in last for words in FULL_DISK):
        return ""
    return next(_errors(last, "F", component="STORAGE", context="initandlisten"), "")


def _errors(log: str, severities: str, **where: str) -> Iterator[str]:
    """What the last start said went wrong, in words."""
    for line in log.rpartition(STARTING)[2].splitlines():
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if not isinstance(entry, dict) or entry.get("s") not in set(severities):
            continue
        place = {"component": entry.get("c"), "context": entry.get("ctx")}
        if all(place[name] == value for name, value in where.items()):
            error = entry.get("attr", {}).get("error", "")
            detail = error.get("errmsg", "") if isinstance(error, dict) else error
            yield " ".join(f"{entry.get('msg', '')} {detail}".split())
