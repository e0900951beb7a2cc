"""Processes that outlived the supervisor that started them: found by their pid files, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

STOP_SECONDS = 5.0
"""Seconds such a process may take to stop before it is killed."""


def remember(folder: Path, name: str, pid: int) -> None:
    """Write `<name>.pid`, and beside it what tells this process from a later one with the same number."""
    (folder / f"{name}.pid").write_text(f"{pid}\n")
    (folder / f"{name}.born").write_text(born(pid))


def forget(folder: Path, name: str) -> None:
    """Remove what was remembered of a process that has ended."""
    for suffix in ("pid", "born"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)


def end_orphans(folder: Path) -> list[str]:
    """End every remembered process that still lives; returns their names."""
    remembered = {file.stem: identity(file) for file in folder.glob("*.pid")}
    alive = {name: found for name, found in remembered.items() if lives(*found)}
    for number in (signal.SIGTERM, signal.SIGKILL):
        for found in filter(lambda found: lives(*found), alive.values()):
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(found[0], number)
        deadline = time.monotonic() + STOP_SECONDS
        while any(lives(*found) for found in alive.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
    for name in remembered:
        forget(folder, name)
    return sorted(alive)


def identity(file: Path) -> tuple[int, str]:
    """A remembered process: its number, and when it was started; (0, "") if that cannot be read."""
    try:
        return int(file.read_text()), file.with_suffix(".born").read_text()
    except (OSError, ValueError):
        return 0, ""


def lives(pid: int, birth: str) -> bool:
    """Whether it is still that process, and no later one with the same number."""
    return birth != "" and born(pid) == birth


def born(pid: int) -> str:
    """When a living process was started, in whatever form the system gives; empty if there is none."""
    try:
        # The 22nd field; the second, the program's name, may itself hold spaces and brackets.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "" if Path("/proc/self/stat").exists() else born_by_ps(pid)
    return "" if fields[0] == "Z" else fields[19]


def born_by_ps(pid: int) -> str:
    """The same where there is no /proc."""
    answer = subprocess.run(  # noqa: S603 - a fixed program and a number
        ["ps", "-o", "lstart=", "-p", str(pid)],  # noqa: S607 - ps is where the system has it
        capture_output=True,
        text=True,
        check=False,
        timeout=STOP_SECONDS,
    )
    return answer.stdout.strip()
