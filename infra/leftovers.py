"""Processes that outlived the supervisor that started them: found by their pid files, and ended."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

PATIENCE = 5.0
"""Seconds such a process may take to stop before it is killed."""


def remember(folder: Path, name: str, pid: int) -> None:
    """Write `<name>.pid`, and beside it what tells this process from a later one with the same number."""
    (folder / f"{name}.pid").write_text(f"{pid}\n")
    (folder / f"{name}.born").write_text(born(pid))


def forget(folder: Path, name: str) -> None:
    """Remove what was remembered of a process that has ended."""
    for suffix in ("pid", "born"):
        (folder / f"{name}.{suffix}").unlink(missing_ok=True)


def end_leftovers(folder: Path) -> list[str]:
    """End every remembered process that still lives; returns their names."""
    alive: dict[str, int] = {}
    for file in folder.glob("*.pid"):
        with contextlib.suppress(OSError, ValueError):
            pid = int(file.read_text())
            birth = file.with_suffix(".born").read_text()
            if birth and birth == born(pid):
                alive[file.stem] = pid
    for number in (signal.SIGTERM, signal.SIGKILL):
        for pid in alive.values():
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, number)
        deadline = time.monotonic() + PATIENCE
        while any(born(pid) for pid in alive.values()) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not any(born(pid) for pid in alive.values()):
            break
    for file in folder.glob("*.pid"):
        forget(folder, file.stem)
    return sorted(alive)


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
        timeout=PATIENCE,
    )
    return answer.stdout.strip()
