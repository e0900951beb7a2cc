"""How commands end: 0 done, 1 differences, 2 usage or refused, 130 interrupted; never with a traceback."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.deadlines import COMMAND_SECONDS

ROOT = Path(__file__).parents[2]

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


INTERRUPTED_AT_AN_IMPORT = """
import os, runpy, signal, sys

class Interrupt:
    def find_spec(self, name, path=None, target=None):
        if name == MODULE:
            os.kill(os.getpid(), signal.SIGINT)

MODULE, sys.argv = sys.argv[1], ["orderfold", *sys.argv[2:]]
sys.meta_path.insert(0, Interrupt())
runpy.run_module("orderfold", run_name="__main__")
"""
"""Runs a command that gets its Ctrl-C when it imports a module: the moment is the same on every machine."""


@pytest.mark.parametrize(
    ("module", "command"),
    [
        ("typer", "verify"),
        ("rich.console", "verify"),
        ("gateway.cli.errors", "verify"),
        ("msgspec", "replay status"),
        ("gateway.cli.verify", "verify"),
        ("gateway.cli.doctor.command", "doctor"),
        ("nats", "verify"),
        ("motor", "verify"),
        ("motor", "replay status"),
    ],
)
def test_ctrl_c_while_a_command_begins_is_status_130_and_no_traceback(
    module: str, command: str, tmp_path: Path
) -> None:
    """A second goes by until everything is imported."""
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_AN_IMPORT, module, *command.split(), "--data", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert (ended.returncode, ended.stderr) == (130, "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_says_what_its_status_means(command: tuple[str, ...]) -> None:
    told, _ = begun(*command, "--help").communicate(timeout=COMMAND_SECONDS)
    words = " ".join(told.split())
    assert "130 interrupted" in words
