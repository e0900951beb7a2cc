"""One process of the embedded stack, kept alive: started, restarted when it dies, held, stopped."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path

from infra.embedded.pid_files import forget, remember
from infra.embedded.servers import Process, ServerFailed

POLL_SECONDS = 0.05
FIRST_DELAY = 0.2
LONGEST_DELAY = 5.0
REFUSED = 2
"""The exit status of a process that says in its last words what has to be done."""
WINDOW_SECONDS = 60.0
MOST_DEATHS = 10
LONGEST_WORDS = 500
"""Characters of a process's last words that are repeated."""
LAST_BYTES = 20_000
MOST_DEATHS_AT_START = 3
"""Until everything has been ready once, a process that keeps dying is a fault of the set-up."""

ROOM_BYTES = 64 * 1024 * 1024
"""Free on its disk, or a twentieth of a small one, with less of which a process is not begun again."""
ROOM_SECONDS = 1.0
"""How often to look whether there is room."""


class SupervisedProcess:
    """A process that is built anew at every start, so that what it needs on disk is written anew as well."""

    def __init__(
        self, name: str, build: Callable[[], Process], run: Path, say: Callable[[str], None]
    ) -> None:
        self.name = name
        self._build = build
        self._run = run
        self._say = say
        self._process: Process | None = None
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self._held = False
        self.most_deaths = MOST_DEATHS_AT_START

    @property
    def pid(self) -> int:
        """The process id; 0 before the first start."""
        return self._process.pid if self._process else 0

    @property
    def running(self) -> bool:
        """Whether the process lives."""
        return self._process is not None and self._process.running

    def spawn(self) -> None:
        """Start the process; raises ServerFailed if it cannot even be begun."""
        self._process = self._build()
        self._process.spawn()
        remember(self._run, self.name, self._process.pid)

    def serves(self) -> bool:
        """Whether it lives and is ready."""
        try:
            return self._process is not None and self._process.is_ready()
        except ServerFailed:
            return False

    async def keep(self) -> None:
        """Restart it whenever it dies; raises ServerFailed, with its last words, when it dies too often.

        What dies over a full disk is not begun again before there is room, however often it has died.
        """
        while True:
            while self._held or self.running:  # noqa: ASYNC110 - a process's end sets no event
                await asyncio.sleep(POLL_SECONDS)
            if not has_room(self._run):
                await self._wait_for_room()
            else:
                delay = self._delay_after_death()
                self._say(f"{self.name} ended ({self._ending()}); restarting it in {delay:g} s")
                await asyncio.sleep(delay)
            if not self._held and not self.running:
                await self._begin_again()

    async def _begin_again(self) -> None:
        try:
            self.spawn()
        except OSError as error:
            # What it needs on the disk could not be written; it may have become full just now.
            self._say(f"{self.name} cannot be started ({error.strerror}); trying again")
            self.kill()
            await asyncio.sleep(LONGEST_DELAY)

    async def _wait_for_room(self) -> None:
        self._say(
            f"{self.name} ended ({self._ending()}), and the disk of {self._run} is full: "
            "make room, then it is restarted"
        )
        while not has_room(self._run):  # noqa: ASYNC110 - a disk sets no event
            await asyncio.sleep(ROOM_SECONDS)
        self._deaths.clear()

    def _delay_after_death(self) -> float:
        now = time.monotonic()
        self._deaths.append(now)
        recent = sum(now - death < WINDOW_SECONDS for death in self._deaths)
        if recent >= self.most_deaths:
            msg = f"{self.name} died {recent} times within a minute: {self.last_log_line()}"
            raise ServerFailed(msg)
        return min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** (recent - 1))

    def _ending(self) -> str:
        code = self._process.exit_code if self._process else None
        if code == REFUSED:
            return self.last_log_line()
        return f"signal {-code}" if code is not None and code < 0 else f"status {code}"

    def last_log_line(self) -> str:
        """The last line of its log, without the log's form."""
        return plain(self._process.last_line()) if self._process else "it was never started"

    def kill(self) -> None:
        """Kill it and whatever it started; it is restarted unless it is held."""
        if self._process is not None:
            self._process.kill()

    def hold(self) -> None:
        """Kill it, and leave it dead until it is released."""
        self._held = True
        self.kill()

    def release(self) -> None:
        """Start it again after a hold."""
        self.spawn()
        self._held = False

    async def stop(self, within: float) -> None:
        """Stop it for good, by force after `within` seconds."""
        self._held = True
        if self._process is not None:
            await asyncio.to_thread(self._process.stop, within)
            forget(self._run, self.name)


def has_room(folder: Path) -> bool:
    """Whether a process that writes there can be expected to live."""
    disk = shutil.disk_usage(folder)
    return disk.free >= min(ROOM_BYTES, disk.total // 20)


def last_log_line(log: Path) -> str:
    """The last line of a process's log, without the log's form; empty if there is none."""
    try:
        with log.open("rb") as lines:
            lines.seek(max(0, log.stat().st_size - LAST_BYTES))
            last = lines.read().decode("utf-8", "replace").strip().splitlines()[-1:]
    except OSError:
        return ""
    return plain(last[0]) if last else ""


def plain(line: str) -> str:
    """A log line as a person would say it: a JSON line's event and what goes with it."""
    try:
        fields = json.loads(line)
    except ValueError:
        return line
    if not isinstance(fields, dict) or "event" not in fields:
        return line
    rest = {k: v for k, v in fields.items() if k not in {"event", "level", "time", "service"}}
    # Of a failure that nobody foresaw the log has the trace; here its last line says what it was.
    trace = str(rest.pop("exception", "")).strip().splitlines()
    words = [str(fields["event"]), *(f"{name}={value}" for name, value in rest.items()), *trace[-1:]]
    line = " ".join(" ".join(words).split())
    return line if len(line) <= LONGEST_WORDS else f"{line[:LONGEST_WORDS]}…"
