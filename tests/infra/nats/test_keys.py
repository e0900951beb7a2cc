"""The users' keys: made once, readable for their owner alone, exchanged only when asked to."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from infra.deploy.nats_keys import CONFIGURATION, KeysUnusable, make_keys, public_key, seed_file, users


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_each_user_gets_a_seed_and_the_server_their_public_keys(tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert make_keys(folder) == [seed_file(folder, user) for user in users()]
    assert {path.stat().st_mode & 0o777 for path in folder.glob("*.nk")} == {0o600}
    told = (folder / "users.conf").read_text()
    for user in users():
        assert f'{user.upper()}_NKEY: "{public_key(seed_file(folder, user))}"' in told
        assert seed_file(folder, user).read_text().strip() not in told
    assert not [path for path in folder.iterdir() if path.suffix not in {".nk", ".conf"}]


def test_what_is_there_stays_and_what_is_missing_is_made(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = contents(tmp_path)
    assert make_keys(tmp_path) == []
    assert contents(tmp_path) == before
    lost = seed_file(tmp_path, "gateway")
    lost.unlink()
    assert make_keys(tmp_path) == [lost]
    changed = {name for name, content in contents(tmp_path).items() if content != before[name]}
    assert changed == {"gateway.nk", "users.conf"}


def test_all_are_made_anew_when_asked_to(tmp_path: Path) -> None:
    make_keys(tmp_path)
    before = contents(tmp_path)
    assert len(make_keys(tmp_path, anew=True)) == len(users())
    assert all(content != before[name] for name, content in contents(tmp_path).items())


@pytest.mark.parametrize("content", [b"", b"SUNOTASEED", b"\xff\xfe"])
def test_a_damaged_seed_is_named_and_kept(tmp_path: Path, content: bytes) -> None:
    make_keys(tmp_path)
    damaged = seed_file(tmp_path, "catalog")
    damaged.write_bytes(content)
    with pytest.raises(KeysUnusable, match=r"catalog\.nk holds no nkey seed; delete it") as raised:
        make_keys(tmp_path)
    assert damaged.read_bytes() == content
    assert "NOTASEED" not in str(raised.value)


def test_a_folder_that_cannot_be_one_is_one_clear_line(tmp_path: Path) -> None:
    place = tmp_path / "file"
    place.write_text("")
    command = [sys.executable, "-m", "infra.deploy.nats_keys", str(place)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert ended.stderr == f"nats_keys: {place} is no folder\n"


def test_no_secret_is_in_the_configuration() -> None:
    """Only variables stand where keys are, and what they stand for is included."""
    lines = CONFIGURATION.read_text().splitlines()
    keys = [line.split(":")[1].strip() for line in lines if line.strip().startswith("nkey:")]
    assert keys == [f"${user.upper()}_NKEY" for user in users()]
    assert 'include "users.conf"' in lines
    assert not [line for line in lines if "password" in line or "token:" in line]
