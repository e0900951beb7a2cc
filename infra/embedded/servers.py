"""Servers as processes of their own, and the real nats-server from its wheel."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import IO

START_SECONDS = 120.0
"""A process that has ended is told at once; a slow machine may take long to start one."""
STOP_SECONDS = 10.0
"""How long a process may take to stop before it is killed."""


class ServerFailed(Exception):
    """A server could not be started; the message says which one, why, and what to do."""


def listening(port: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody accepts connections there."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex((host, port)) == 0


def executable(name: str) -> str:
    """A program of this environment; raises ServerFailed with the fix if it is not installed."""
    beside = Path(sys.executable).parent / name
    found = str(beside) if beside.exists() else shutil.which(name)
    if found is None:
        msg = f"{name} is not installed; install the embedded servers: pip install 'orderfold[embedded]'"
        raise ServerFailed(msg)
    return found


class Process:
    """A server process with its log file, in a process group of its own."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        log: Path,
        ready: Callable[[], bool],
        *,
        env: dict[str, str] | None = None,
        user: int | None = None,
    ) -> None:
        self.name = name
        self._command = list(command)
        self._log = log
        self._ready = ready
        self._env = env
        self._user = user
        self._popen: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """The process id; 0 when it was never started."""
        return self._popen.pid if self._popen else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._popen is not None and self._popen.poll() is None

    @property
    def exit_code(self) -> int | None:
        """How it ended; None while it lives or before it started."""
        return self._popen.poll() if self._popen else None

    def spawn(self) -> None:
        """Start the process without waiting for it to be ready."""
        self._log.parent.mkdir(parents=True, exist_ok=True)
        with self._log.open("ab") as out:
            self._popen = self._start(out)

    def _start(self, out: IO[bytes]) -> subprocess.Popen[bytes]:
        return subprocess.Popen(  # noqa: S603 - the command is ours, no shell
            self._command,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=self._env,
            user=self._user,
            group=self._user,
            # Ctrl-C in a terminal reaches the whole group: the one who started us stops us in its own order.
            start_new_session=True,
        )

    def is_ready(self) -> bool:
        """Whether it serves; raises ServerFailed if it has ended."""
        if not self.running:
            msg = f"{self.name} ended with status {self.exit_code}: {self.last_line()} (log: {self._log})"
            raise ServerFailed(msg)
        return self._ready()

    def start(self, timeout: float = START_SECONDS) -> None:
        """Start the process and return when it serves; raises ServerFailed."""
        self.spawn()
        deadline = time.monotonic() + timeout
        while not self.is_ready():
            if time.monotonic() > deadline:
                self.kill()
                msg = f"{self.name} was not ready within {timeout:g} s (log: {self._log})"
                raise ServerFailed(msg)
            time.sleep(0.005)

    def terminate(self) -> None:
        """Ask it to stop; does not wait."""
        if self._popen is not None and self.running:
            self._popen.send_signal(signal.SIGTERM)

    def stop(self, timeout: float = STOP_SECONDS) -> None:
        """Stop it, by force after `timeout` seconds."""
        if self._popen is None:
            return
        self.terminate()
        try:
            self._popen.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """Kill it and everything it started, without warning."""
        if self._popen is None:
            return
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._popen.pid, signal.SIGKILL)
        self._popen.wait()

    def last_line(self) -> str:
        """The last thing it said."""
        lines = self._log.read_text(errors="replace").strip().splitlines() if self._log.exists() else []
        return lines[-1] if lines else "it said nothing"


NATS_CONFIGURATION = """\
# Written by Orderfold at every start.
listen: "127.0.0.1:{port}"
http: "127.0.0.1:{http_port}"
max_payload: 1MB
jetstream {{
  store_dir: "{folder}"
  sync_interval: always
  max_file_store: 100GB
}}
"""


def nats_server(folder: Path, port: int, http_port: int) -> Process:
    """A nats-server with JetStream under `folder`, fsynced on every write, on loopback."""
    folder.mkdir(parents=True, exist_ok=True)
    configuration = folder / "nats.conf"
    configuration.write_text(
        NATS_CONFIGURATION.format(port=port, http_port=http_port, folder=folder / "jetstream")
    )
    return Process(
        "nats-server",
        [executable("nats-server"), "-c", str(configuration)],
        folder / "nats.log",
        lambda: listening(port),
    )
