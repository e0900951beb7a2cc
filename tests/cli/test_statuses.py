"""How commands end: 0 done, 1 differences, 2 usage or refused, 130 interrupted; never with a traceback."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.deadlines import COMMAND_SECONDS

ROOT = Path(__file__).parents[2]
IN_ITS_FIRST_SECOND = (0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)

COMMANDS = [
    ("up",),
    ("token",),
    ("import",),
    ("verify",),
    ("doctor",),
    ("keys", "new"),
    ("keys", "rotate"),
    *(
        ("replay", command)
        for command in ("start", "status", "pause", "resume", "rate", "cancel", "switch", "rollback", "drop")
    ),
    *(("replay", command) for command in ("show", "trace", "publish", "diff", "repair")),
    *(("replay", "dead-letters", command) for command in ("list", "show", "retry", "skip", "audit")),
]


def begun(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "orderfold", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("after", IN_ITS_FIRST_SECOND)
@pytest.mark.parametrize("command", [("verify",), ("replay", "status")], ids=" ".join)
def test_ctrl_c_while_a_command_begins_is_status_130_and_no_traceback(
    command: tuple[str, ...], after: float, tmp_path: Path
) -> None:
    """Python itself is there by then; what it imports is not."""
    process = begun(*command, "--data", str(tmp_path))
    time.sleep(after)  # the moment is what is tried
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=COMMAND_SECONDS)
    if process.returncode == -signal.SIGINT or ("Traceback" in told and "orderfold.py" not in told):
        pytest.skip("Python had not started yet")
    assert "Traceback" not in told
    # Without a stack it may have been refused before.
    assert process.returncode in {130, 2}


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_what_its_status_means(command: tuple[str, ...]) -> None:
    told, _ = begun(*command, "--help").communicate(timeout=COMMAND_SECONDS)
    words = " ".join(told.split())
    assert "130 interrupted" in words
