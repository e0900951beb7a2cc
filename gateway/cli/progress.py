"""How far a command has come: a bar with its rate on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeElapsedColumn as Elapsed
from rich.text import Text

LINE_SECONDS = 5.0


class Steps(Protocol):
    """A piece of work that is counted."""

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done (of so much)."""


class Rate(ProgressColumn):
    """Steps a second, since the beginning."""

    def render(self, task: Task) -> Text:
        """The rate, once there is one."""
        speed = task.finished_speed or task.speed
        return Text(f"{speed:,.0f}/s" if speed else "", style="progress.data.speed")


class BarSteps:
    """Steps shown as a bar."""

    def __init__(self, progress: Progress, name: str, total: int | None) -> None:
        self._progress = progress
        self._task = progress.add_task(name, total=total)

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done (of so much)."""
        self._progress.update(self._task, completed=done, total=total)


class LineSteps:
    """Steps told in lines, for logs and pipes."""

    def __init__(self, console: Console, name: str, total: int | None) -> None:
        self._console = console
        self._name = name
        self._total = total
        self._done = 0
        self._began = self._told = time.monotonic()

    def at(self, done: int, total: int | None = None) -> None:
        """So much is done (of so much)."""
        self._done = done
        self._total = total or self._total
        if time.monotonic() - self._told >= LINE_SECONDS:
            self.tell()

    def tell(self) -> None:
        """Print where it stands."""
        self._told = time.monotonic()
        rate = self._done / max(self._told - self._began, 0.001)
        of = f"/{self._total}" if self._total is not None else ""
        self._console.print(f"{self._name}: {self._done}{of} ({rate:,.0f}/s)", highlight=False)


@contextmanager
def steps(console: Console, name: str, total: int | None = None) -> Iterator[Steps]:
    """Show a piece of work while it is done."""
    if not console.is_terminal:
        lines = LineSteps(console, name, total)
        yield lines
        lines.tell()
        return
    columns = (TextColumn("{task.description:<12}"), BarColumn(), MofNCompleteColumn(), Rate(), Elapsed())
    with Progress(*columns, console=console) as progress:
        yield BarSteps(progress, name, total)
