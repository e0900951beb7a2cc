"""The permissions in nats-server.conf are those the code needs; what is around them is written by hand."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from infra.deploy.nats.configuration import BEGIN, COMMAND, END, MarkersMissing, update, with_permissions
from infra.deploy.nats.permissions import User
from infra.deploy.nats.permissions import users as needed
from infra.deploy.nats_keys import CONFIGURATION, make_keys, users
from infra.embedded.servers import executable
from tests.support.deadlines import COMMAND_SECONDS

SOMEBODY = User(
    name="somebody",
    why="says hello",
    subscribe=("_INBOX_somebody.>", "hello somebody"),
    publish={"greetings": ("hello",), "nothing": ()},
    deny={"rudeness": ("hello.again",)},
    answers=True,
)
WRITTEN = """port: 4222
accounts {
  APP: {
    %s
    users: [
      # somebody: says hello
      {
        nkey: $SOMEBODY_NKEY
        permissions: {
          subscribe: { allow: [
            "_INBOX_somebody.>"
            "hello somebody"
          ] }
          publish: {
            allow: [
              # greetings
              "hello"
            ]
            deny: [
              # rudeness
              "hello.again"
            ]
          }
          allow_responses: true
        }
      }
    ]
    %s
  }
}
""" % (BEGIN, END)  # noqa: UP031 - braces are the text's own


def run(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """`python -m infra.deploy.nats`."""
    command = [sys.executable, *COMMAND.split()[1:], *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)


def test_the_file_is_what_the_code_needs() -> None:
    """A new context, command, route or step changes it; the diff is for a reviewer."""
    text = CONFIGURATION.read_text()
    assert with_permissions(text, needed(), CONFIGURATION.name) == text, f"run `{COMMAND}`"


def test_the_keys_are_made_for_its_users() -> None:
    assert users() == tuple(user.name for user in needed())


def test_users_stand_between_the_markers_and_all_else_stays(tmp_path: Path) -> None:
    file = tmp_path / "nats-server.conf"
    file.write_text(WRITTEN.replace("hello", "stale"))
    assert update(file, [SOMEBODY])
    assert file.read_text() == WRITTEN
    assert not update(file, [SOMEBODY])


@pytest.mark.parametrize(
    "text", ["", f"{BEGIN}\n", f"{END}\n", f"{END}\n{BEGIN}\n", f"{BEGIN}\n{END}\n{BEGIN}\n{END}\n"]
)
def test_without_its_two_lines_nothing_is_written(tmp_path: Path, text: str) -> None:
    file = tmp_path / "some.conf"
    file.write_text(text)
    with pytest.raises(MarkersMissing, match=r"some\.conf needs the lines"):
        update(file, [SOMEBODY])
    assert file.read_text() == text


def test_a_users_text_is_what_nats_server_reads(tmp_path: Path) -> None:
    (tmp_path / "nats-server.conf").write_text(f'include "users.conf"\n{WRITTEN}')
    make_keys(tmp_path, configuration=tmp_path / "nats-server.conf")
    checked = subprocess.run(
        [executable("nats-server"), "-t", "-c", str(tmp_path / "nats-server.conf")],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert checked.returncode == 0, checked.stderr


def test_the_command_checks_and_writes(tmp_path: Path) -> None:
    file = tmp_path / "nats-server.conf"
    shutil.copy(CONFIGURATION, file)
    changed = file.read_text().replace('"cmd.payments.CapturePayment"\n', "")
    file.write_text(changed)
    checked = run("--check", file)
    assert (checked.returncode, checked.stderr) == (
        1,
        f"nats: {file} is not what the code needs: run `{COMMAND} {file}`\n",
    )
    assert file.read_text() == changed
    assert run(file).stdout == f"{file} written\n"
    assert file.read_text() == CONFIGURATION.read_text()
    assert run("--check", file).stdout == f"{file} is up to date\n"


def test_a_file_that_is_not_there_is_one_clear_line(tmp_path: Path) -> None:
    ended = run(tmp_path / "missing.conf")
    assert ended.returncode == 2
    assert ended.stderr == f"nats: {tmp_path / 'missing.conf'}: No such file or directory\n"
