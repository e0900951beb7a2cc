"""The command as its user runs it: a process, its output, and one stack for the tests that need it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from infra.sockets import free_port
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS


def wait_until(condition: Callable[[], bool]) -> None:
    """Return when it holds; fail after a deadline."""
    deadline = time.monotonic() + HOLDS_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def run(*arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """Run `orderfold` to its end, with no settings but those given."""
    return subprocess.run(
        command(*arguments),
        capture_output=True,
        check=False,
        text=True,
        env=environment(),
        cwd=cwd,
        timeout=COMMAND_SECONDS,
    )


def command(*arguments: str) -> list[str]:
    """`orderfold` as installed, called in a way that works without being on the path."""
    return [sys.executable, "-m", "orderfold", *arguments]


def environment() -> dict[str, str]:
    """This process's environment without any setting of ours."""
    return {name: value for name, value in os.environ.items() if not name.startswith("ORDERFOLD_")}


class RunningStack:
    """`orderfold up` as a process on a folder."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._output = folder.parent / f"{folder.name}.out"
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(
                command("up", "--data", str(folder), "--port", str(self.port), *options),
                stdout=out,
                stderr=subprocess.STDOUT,
                env=environment(),
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it has said so far."""
        return self._output.read_text()

    def says(self, words: str) -> None:
        """Return when it has said so; fail if it ends before."""
        wait_until(lambda: words in self.output or self.process.poll() is not None)
        assert words in self.output, self.output

    def pid(self, name: str) -> int:
        """The process id of one of its processes, from its pid file; 0 while there is none."""
        file = self.folder / "run" / f"{name}.pid"
        return int(file.read_text() or 0) if file.exists() else 0

    def kill(self, name: str) -> None:
        """SIGKILL one of its processes, and return when another one has its place."""
        killed = self.pid(name)
        os.kill(killed, signal.SIGKILL)
        wait_until(lambda: self.pid(name) not in {0, killed})

    def run(self, *arguments: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Run another `orderfold` command against it."""
        return run(*arguments, "--data", str(self.folder), cwd=cwd)

    def stop(self) -> None:
        """End it as Ctrl-C does."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(HOLDS_SECONDS)
        finally:
            self.process.kill()


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack with the sample, shared by the tests of a module."""
    running = RunningStack(tmp_path_factory.mktemp("stack") / "data", "--sample")
    try:
        running.says("reconciled")
        yield running
    finally:
        running.stop()
