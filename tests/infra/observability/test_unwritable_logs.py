"""A log line that cannot be written is lost, and ends no process."""

from __future__ import annotations

import asyncio
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from infra.observability.logging.lines import Lines
from tests.support.deadlines import HOLDS_SECONDS

FULL = Path("/dev/full")
"""A device on which there is never any room."""

LOGGING = """
import structlog
from infra.observability.logging.setup import configure_logging, last_word
configure_logging("test", json={json})
log = structlog.get_logger()
for number in range(5_000):
    log.info("something happened", number=number)
    log.error("something went wrong", number=number)
last_word("test", "it ends")
import os, sys
sys.stderr.write("lived\\n")
os._exit(0)
"""


@pytest.mark.parametrize("json_lines", [True, False])
def test_a_process_lives_on_while_its_log_has_no_room(json_lines: bool) -> None:  # noqa: FBT001 - both forms
    with FULL.open("wb") as full:
        ended = subprocess.run(
            [sys.executable, "-c", LOGGING.format(json=json_lines)],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=HOLDS_SECONDS,
            check=False,
        )
    assert (ended.returncode, ended.stderr.decode().splitlines()[-1]) == (0, "lived")


def test_a_process_lives_on_when_its_logs_reader_has_gone() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", LOGGING.format(json=True)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read().decode().splitlines()[-1] == "lived"
        assert process.wait(HOLDS_SECONDS) == 0


async def test_when_there_is_room_again_the_log_says_how_much_was_lost(tmp_path: Path) -> None:
    file = tmp_path / "log"
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    with file.open("wb") as out:
        lines = Lines(out)
        lines.info(b'{"event":"before"}\n')
        await asyncio.sleep(0)
        resource.setrlimit(resource.RLIMIT_FSIZE, (file.stat().st_size, limits[1]))
        try:
            for _ in range(5_000):
                lines.info(b'{"event":"meanwhile"}\n')
                lines.error(b'{"event":"meanwhile"}\n')
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        lines.error(b'{"event":"after"}\n')
        lines.error(b'{"event":"after"}\n')
    written = [json.loads(line) for line in file.read_text().splitlines()]
    assert written[0]["event"] == "before"
    (lost,) = [line for line in written if line["event"] == "log lines were lost"]
    kept = sum(line["event"] == "meanwhile" for line in written)
    assert lost["lost"] + kept + sum(line["event"] == "after" for line in written) == 10_002
    assert lost["problem"] == "File too large"
