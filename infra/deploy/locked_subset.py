"""`python infra/deploy/locked_subset.py [REQUIREMENT…]`: the part of requirements.lock it comes down to.

Without any, those this project needs to run. pip finds out what they need, held to the versions of the lock;
what is printed are the lock's own lines, hashes and all, for `pip install --no-deps --require-hashes`.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

LOCK = Path("requirements.lock")
PROJECT = Path("pyproject.toml")
ENTRY = re.compile(r"^(?P<name>[\w.-]+)(?:\[[^\]]*\])?(?P<pin>==[^\\\n]+)", re.MULTILINE)
"""A name, and a version with what it is for: there may be one for each of several Pythons."""


class Entry(NamedTuple):
    """A version that is locked, with its hashes."""

    name: str
    pin: str
    text: str


def normal(name: str) -> str:
    """A distribution's name as it is compared."""
    return re.sub(r"[-_.]+", "-", name).lower()


def entries(lock: str) -> list[Entry]:
    """What is locked."""
    found = list(ENTRY.finditer(lock))
    ends = [*(match.start() for match in found[1:]), len(lock)]
    return [
        Entry(normal(match["name"]), match["pin"].strip(), lock[match.start() : end])
        for match, end in zip(found, ends, strict=True)
    ]


def needed(requirements: list[str], locked: list[Entry]) -> set[str]:
    """The names of what the requirements come down to, as pip finds them."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.writelines(f"{entry.name}{entry.pin}\n" for entry in locked)
        constraints.flush()
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        command += ["--dry-run", "--pre", "--ignore-installed", "--report", "-"]
        found = subprocess.run(  # noqa: S603 - the command is ours, no shell
            [*command, "--constraint", constraints.name, *requirements], check=True, stdout=subprocess.PIPE
        )
    return {normal(item["metadata"]["name"]) for item in json.loads(found.stdout)["install"]}


def main(requirements: list[str]) -> None:
    """Print the entries."""
    locked = entries(LOCK.read_text())
    names = needed(requirements or tomllib.loads(PROJECT.read_text())["project"]["dependencies"], locked)
    sys.stdout.writelines(entry.text for entry in locked if entry.name in names)


if __name__ == "__main__":
    main(sys.argv[1:])
