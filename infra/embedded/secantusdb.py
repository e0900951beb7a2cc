"""SecantusDB, which speaks MongoDB's protocol, for machines on which no mongod runs.

After a write that found its disk full it answers everything with an error until it is restarted, and it
cannot start while the disk is full: once there is room it opens its folder as it was, with all that operators
have decided. Killed while it made its first tables, or after a disk fault, it refuses its folder for good.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.embedded.servers import Process, executable, listening
from infra.mongo import Mongo, MongoBroken, MongoUnavailable
from infra.settings import Settings

DATA = "data"
STORAGE_ERROR = "WiredTigerError"
FATAL = "in <module>"
"""In the trace of what has ended the server; not of what one of its answers ended with."""
FULL_DISK = ("No space left on device", "Disk quota exceeded", "File too large")
LAST_WORDS = 40
"""Lines; what went wrong first was said within them."""


def program() -> str:
    """Its program in this environment; raises ServerFailed."""
    return executable("secantusd-py")


def version() -> str:
    """The version that is installed."""
    return importlib.metadata.version("SecantusDB")


def server(path: str, data: Path, log: Path, port: int) -> Process:
    """A server on `data`: a replica set by itself."""
    command = [
        path,
        *("--host", "127.0.0.1", "--port", str(port)),
        *("--storage-path", str(data)),
        # Without it a kill loses acknowledged transactions.
        "--sync-on-commit",
        # Its own default is 1 GB: more than a development machine wants to spare.
        *("--cache-size", "256M"),
        *("--log-level", "WARNING"),
    ]
    return Process("mongodb (secantusd)", command, log, lambda: listening(port))


def cannot_open(log: str) -> str:
    """Why the last start could not open the data; empty if it did, or found its disk full."""
    lines = log.strip().splitlines()
    return lines[-1] if _cannot_open(lines) else ""


def _cannot_open(lines: Sequence[str]) -> bool:
    if not lines or STORAGE_ERROR not in lines[-1]:
        return False
    last = lines[-LAST_WORDS:]
    if any(words in line for line in last for words in FULL_DISK):
        return False
    begins = max((at for at, line in enumerate(last) if line.startswith("Traceback")), default=0)
    return any(FATAL in line for line in last[begins:])


LOOK_SECONDS = 2.0
ROOM_BYTES = 64 * 1024 * 1024
"""What it needs to start."""


async def restart_when_broken(
    settings: Settings,
    folder: Path,
    restart: Callable[[], None],
    say: Callable[[str], None],
    *,
    room: int = ROOM_BYTES,
) -> None:
    """Look again and again, until cancelled. `folder` is the server's; `say` is told what is done."""
    mongo = Mongo(settings)
    told = False
    try:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            try:
                await mongo.find("checkpoints", {"_id": ""}, limit=1)
            except MongoBroken as error:
                if shutil.disk_usage(folder).free >= room:
                    say(f"mongo serves nobody ({error}); restarting it")
                    restart()
                elif not told:
                    say(f"the disk of {folder} is full: make room, then mongo is restarted")
                    told = True
            except MongoUnavailable:
                # The process is gone: its supervisor restarts it.
                continue
            else:
                told = False
    finally:
        mongo.close()
