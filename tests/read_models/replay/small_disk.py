"""A small disk under MongoDB's folder, that can be filled and emptied."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra.embedded.servers import Process

BLOCK = bytes(4096)


class SmallDisk:
    """A file system of its own, which only its keeper's mount namespace has; others see it through /proc."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def fill(self, _: Process) -> None:
        """Leave no room on it."""
        with (self.folder / "filling").open("wb", buffering=0) as file:
            try:
                while file.write(BLOCK):
                    pass
            except OSError:
                return

    def empty(self) -> None:
        """Make room again."""
        (self.folder / "filling").unlink()


class LimitedFiles(SmallDisk):
    """The same where nobody may mount: no file of the server may be written any further."""

    def fill(self, process: Process) -> None:
        """Let every further write fail."""
        _, hard = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (1, hard))

    def empty(self) -> None:
        """A process begun anew is not limited."""


@contextmanager
def small_disk(folder: Path, megabytes: int) -> Iterator[SmallDisk]:
    """A small disk, or what comes next to it on this machine."""
    folder.mkdir()
    options = ["--mount"] if os.geteuid() == 0 else ["--user", "--map-root-user", "--mount"]
    mount = f'mount -t tmpfs -o size={megabytes}m tmpfs "$1" && echo mounted && exec cat'
    with subprocess.Popen(
        ["unshare", *options, "sh", "-c", mount, "sh", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as keeper:
        assert keeper.stdout is not None
        if keeper.stdout.readline() == b"mounted\n":
            yield SmallDisk(Path(f"/proc/{keeper.pid}/root{folder}"))
        else:
            yield LimitedFiles(folder)
        keeper.kill()
