"""Starting and stopping the stack, and everything that can be wrong with where it is to run."""

from __future__ import annotations

import os
import signal
import socket
from pathlib import Path

import pytest

from infra.embedded.pid_files import born
from tests.cli.conftest import RunningStack, run
from tests.support.deadlines import HOLDS_SECONDS

NAMES = ("nats", "mongo", "provider", "contexts", "read-models", "gateway")


def secrets_of(stack: RunningStack) -> list[tuple[int, bytes]]:
    """What the issuer and the webhooks are signed with, and who may read it."""
    files = [stack.folder / "keys" / name for name in ("signing.pem", "webhook-secret")]
    return [(file.stat().st_mode & 0o777, file.read_bytes()) for file in files]


@pytest.mark.slow
def test_a_killed_up_leaves_nothing_behind_for_the_next_and_ctrl_c_stops_everything(tmp_path: Path) -> None:
    killed = RunningStack(tmp_path / "data")
    killed.says("is ready")
    first, kept = [killed.pid(name) for name in NAMES], secrets_of(killed)
    killed.process.kill()
    killed.process.wait()
    stack = RunningStack(tmp_path / "data")
    stack.says("is ready")
    assert not any(born(pid) for pid in first)
    assert secrets_of(stack) == kept
    assert [mode for mode, _ in kept] == [0o600, 0o600]
    second = [stack.pid(name) for name in NAMES]
    stack.process.send_signal(signal.SIGINT)
    assert stack.process.wait(HOLDS_SECONDS) == 0
    assert not any(born(pid) for pid in second)
    assert list((tmp_path / "data" / "run").iterdir()) == []


def test_a_taken_port_is_one_line_and_status_2(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run("up", "--data", str(tmp_path / "data"), "--port", str(port))
    assert result.returncode == 2
    assert (result.stdout, result.stderr) == (
        "",
        f"orderfold: port {port} is taken; stop what listens there or choose another with --port\n",
    )


def test_a_data_folder_that_is_a_file_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("no folder")
    result = run("up", "--data", str(tmp_path / "data"))
    assert result.returncode == 2
    assert len(result.stderr.splitlines()) == 1
    assert f"the data folder {tmp_path / 'data'} cannot be used" in result.stderr


@pytest.mark.slow
def test_a_broken_store_stops_up_with_the_reason(tmp_path: Path) -> None:
    stores = tmp_path / "data" / "stores"
    stores.mkdir(parents=True)
    (stores / "catalog.db").write_bytes(b"this is no database" * 100)
    stack = RunningStack(tmp_path / "data")
    assert stack.process.wait(HOLDS_SECONDS) == 2
    last = stack.output.splitlines()[-1]
    assert last.startswith("orderfold: contexts died 3 times within a minute: ")
    assert "catalog.db" in last


def test_commands_say_in_one_line_that_there_is_no_stack(tmp_path: Path) -> None:
    for arguments in (["verify"], ["import", __file__, "--currency", "GBP"], ["token"]):
        result = run(*arguments, "--data", str(tmp_path / "none"))
        assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["import", "absent.csv", "--currency", "GBP", "--url", "http://127.0.0.1:1", "--token", "x"],
            "absent.csv cannot be read",
        ),
        (["import", __file__, "--currency", "GBP", "--url", "x", "--token", "x"], "has no scheme"),
        (["import", __file__, "--currency", "pounds"], "--currency"),
        (["token", "--scope", "everything"], "unknown scope"),
        (["token", "--ttl", "soon"], "--ttl"),
        (["up", "--port", "0"], "--port"),
        (["bogus"], "No such command"),
    ],
)
def test_a_mistake_on_the_command_line_is_one_line_and_status_2(
    arguments: list[str], words: str, tmp_path: Path
) -> None:
    result = run(*arguments, cwd=tmp_path)
    assert (result.returncode, len(result.stderr.splitlines())) == (2, 1), result.stderr
    assert words in result.stderr


def test_a_setting_that_is_none_is_one_line_and_status_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run("doctor", "--settings", cwd=tmp_path)
    assert result.returncode == 0
    assert "ORDERFOLD_PAYMENT_TIMEOUT" in result.stdout
    monkeypatch.setattr("tests.cli.conftest.environment", lambda: {**os.environ, "ORDERFOLD_COLOUR": "red"})
    refused = run("doctor", "--settings", cwd=tmp_path)
    assert (refused.returncode, len(refused.stderr.splitlines())) == (2, 1)
    assert "ORDERFOLD_COLOUR is no setting" in refused.stderr
