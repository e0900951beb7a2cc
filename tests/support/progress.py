"""How far long tests are: a line on the terminal every minute, also while tests run in several processes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator

import pytest

EVERY_SECONDS = 60.0


class Progress:
    """The test that runs in this process, since when, and what it told last."""

    def __init__(self) -> None:
        self.told = ""
        self._test = ""
        self._begun = 0.0
        self._ended = threading.Event()

    def watch(self, terminal: int) -> None:
        """Write to this descriptor, which nothing captures, until the run has ended."""
        threading.Thread(target=self._look, args=(terminal,), name="progress of tests", daemon=True).start()

    def _look(self, terminal: int) -> None:
        while not self._ended.wait(EVERY_SECONDS):
            seconds = time.monotonic() - self._begun
            if self._test and seconds >= EVERY_SECONDS:
                told = f": {self.told}" if self.told else ""
                os.write(terminal, f"\n{self._test} has run for {seconds:.0f} s{told}\n".encode())

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Know which test runs."""
        self.told, self._begun, self._test = "", time.monotonic(), item.nodeid
        try:
            return (yield)
        finally:
            self._test = ""

    def pytest_unconfigure(self) -> None:
        """End with the run."""
        self._ended.set()


progress = Progress()


def tell(words: str) -> None:
    """Say how far the test is that runs; it is shown once that takes longer than a minute."""
    progress.told = words
