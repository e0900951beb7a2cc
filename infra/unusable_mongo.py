"""What to do when the embedded MongoDB-protocol server can no longer open what it has stored.

Killed while it made its first tables, or after a disk fault, it refuses its folder for good. Read models are
rebuilt from the stores, so the folder is set aside and the server begins with an empty one.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

STORAGE_ERROR = "WiredTigerError"
ASIDE = "unusable"


def set_aside_if_unusable(folder: Path, say: Callable[[str], None]) -> None:
    """Move the data away if the server's last words were that it cannot open it; the last such is kept."""
    log = folder / "mongo.log"
    lines = log.read_text(errors="replace").strip().splitlines() if log.exists() else []
    if not lines or STORAGE_ERROR not in lines[-1]:
        return
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for part in (folder / "data", log):
        if part.exists():
            part.rename(aside / part.name)
    say(f"mongo cannot open its data ({lines[-1]}); set aside in {aside}, read models will be rebuilt")
