"""What to do when the embedded MongoDB-protocol server serves nobody any more: restart it, if there is room.

After a write that found its disk full it answers everything with an error until it is restarted, and as long
as the disk is full it cannot start.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path

from infra.mongo import Mongo, MongoBroken, MongoUnavailable
from infra.settings import Settings

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
                # Not there at all: whoever keeps the process alive sees to it.
                continue
            else:
                told = False
    finally:
        mongo.close()


def _free(folder: Path) -> int:
    return shutil.disk_usage(folder).free
