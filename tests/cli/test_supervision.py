"""Keeping a process alive: started again when it dies, given up with its last words when it keeps dying."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import cast

import pytest

from infra.embedded.pid_files import born, end_orphans, remember
from infra.embedded.servers import Process, ServerFailed
from infra.embedded.supervisor import SupervisedProcess, plain
from tests.read_models.replay.small_disk import LimitedFiles, small_disk
from tests.support.deadlines import HOLDS_SECONDS

LONGER_THAN_A_RESTART = 0.5


def child(tmp_path: Path, program: str, said: list[str]) -> SupervisedProcess:
    def build() -> Process:
        return Process("worker", [sys.executable, "-c", program], tmp_path / "worker.log", lambda: True)

    return SupervisedProcess("worker", build, tmp_path, said.append)


def has(said: list[str], lines: int) -> bool:
    return len(said) == lines


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HOLDS_SECONDS
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.01)


@pytest.fixture
def sleeper() -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-c", "import time; time.sleep(3600)"], start_new_session=True
    )
    yield process
    process.kill()
    process.wait()


async def test_a_killed_process_is_started_again_and_its_pid_file_follows(tmp_path: Path) -> None:
    said: list[str] = []
    worker = child(tmp_path, "import time; time.sleep(3600)", said)
    worker.spawn()
    keeping = asyncio.create_task(worker.keep())
    first = worker.pid
    os.kill(first, signal.SIGKILL)
    await until(lambda: worker.pid != first and worker.running)
    assert (tmp_path / "worker.pid").read_text() == f"{worker.pid}\n"
    assert said == ["worker ended (signal 9); restarting it in 0.2 s"]
    keeping.cancel()
    await worker.stop(HOLDS_SECONDS)
    assert not worker.running
    assert not (tmp_path / "worker.pid").exists()


async def test_a_process_that_keeps_dying_over_a_full_disk_is_kept_until_there_is_room(
    tmp_path: Path,
) -> None:
    """They say nothing about the process: it is started again when there is room."""
    with small_disk(tmp_path / "disk", megabytes=40) as disk:
        if isinstance(disk, LimitedFiles):
            pytest.skip("needs to mount")
        said: list[str] = []
        program = f"""
import pathlib, time
pathlib.Path({str(disk.folder / "written")!r}).write_bytes(bytes(2_000_000))
time.sleep(3600)
"""
        worker = child(disk.folder, program, said)
        worker.spawn()
        await until((disk.folder / "written").exists)
        disk.fill(cast("Process", None))
        keeping = asyncio.create_task(worker.keep())
        for died in range(1, 6):
            worker.kill()
            await until(partial(has, said, died))
            assert "is full: make room, then it is restarted" in said[-1]
            disk.empty()
            await until(lambda: worker.running)
            disk.fill(cast("Process", None))
        disk.empty()
        assert not keeping.done()
        keeping.cancel()
        await worker.stop(HOLDS_SECONDS)


async def test_a_process_that_keeps_dying_is_given_up_with_its_last_words(tmp_path: Path) -> None:
    worker = child(tmp_path, "raise SystemExit('the store is broken')", [])
    worker.spawn()
    with pytest.raises(ServerFailed, match="worker died 3 times within a minute: the store is broken"):
        await asyncio.wait_for(worker.keep(), HOLDS_SECONDS)


async def test_a_held_process_stays_dead_until_it_is_released(tmp_path: Path) -> None:
    said: list[str] = []
    worker = child(tmp_path, "import time; time.sleep(3600)", said)
    worker.spawn()
    keeping = asyncio.create_task(worker.keep())
    worker.hold()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(LONGER_THAN_A_RESTART):
            await until(lambda: worker.running)
    worker.release()
    assert said == []
    keeping.cancel()
    await worker.stop(HOLDS_SECONDS)


def test_a_process_left_over_from_a_killed_supervisor_is_ended(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    remember(tmp_path, "worker", sleeper.pid)
    assert end_orphans(tmp_path) == ["worker"]
    assert sleeper.wait(HOLDS_SECONDS) == -signal.SIGTERM
    assert list(tmp_path.iterdir()) == []


def test_another_process_that_has_the_same_number_by_now_is_left_alone(
    tmp_path: Path, sleeper: subprocess.Popen[bytes]
) -> None:
    remember(tmp_path, "worker", sleeper.pid)
    (tmp_path / "worker.born").write_text("at another time")
    assert end_orphans(tmp_path) == []
    assert born(sleeper.pid)


def test_the_last_words_of_a_json_log_are_said_plainly() -> None:
    line = '{"event": "store locked", "level": "error", "time": "…", "service": "x", "file": "a.db"}'
    assert plain(line) == "store locked file=a.db"
    assert plain("contexts: no store") == "contexts: no store"
