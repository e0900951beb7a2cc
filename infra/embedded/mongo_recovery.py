"""What to do with an embedded MongoDB-protocol server that serves nobody: restart it, or begin anew.

After a write that found its disk full it answers everything with an error until it is restarted, and it
cannot start while the disk is full: once there is room it opens its folder as it was, with all that operators
have decided. Killed while it made its first tables, or after a disk fault, it refuses its folder for good.
Read models are rebuilt from the stores, so the folder is set aside and the server begins with an empty one.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from infra.mongo import Mongo, MongoBroken, MongoUnavailable
from infra.settings import Settings

STORAGE_ERROR = "WiredTigerError"
FATAL = "in <module>"
"""In the trace of what has ended the server; not of what one of its answers ended with."""
FULL_DISK = ("No space left on device", "Disk quota exceeded", "File too large")
LAST_WORDS = 40
"""Lines; what went wrong first was said within them."""
ASIDE = "unusable"


def set_aside_if_unusable(folder: Path, say: Callable[[str], None]) -> None:
    """Move the data away if the server's last words were that it cannot open it; the last such is kept."""
    log = folder / "mongo.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    if not _cannot_open(lines):
        return
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for part in (folder / "data", log):
        if part.exists():
            part.rename(aside / part.name)
    say(f"mongo cannot open its data ({lines[-1]}); set aside in {aside}, read models will be rebuilt")


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
                if _free(folder) >= room:
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


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
