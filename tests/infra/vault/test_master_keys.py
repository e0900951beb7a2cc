"""Master keys from a file or the environment; what does not fit is refused without quoting it."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from infra.deploy.compose_secrets import MasterKeyGone, make_secrets
from infra.settings import Settings, SettingsInvalid
from infra.vault.master_keys import (
    MasterKeySource,
    master_keys_file,
    new_master_keys,
    parse,
    write_master_keys,
)


def test_what_is_written_is_read(tmp_path: Path) -> None:
    keys = new_master_keys().exchanged()
    settings = Settings(data=tmp_path)
    write_master_keys(master_keys_file(settings), keys)
    assert master_keys_file(settings).stat().st_mode & 0o777 == 0o600
    assert MasterKeySource(settings)().text() == keys.text()


def test_the_environment_may_hold_them() -> None:
    keys = new_master_keys().exchanged()
    text = keys.text().strip().replace("\n", ",")
    assert MasterKeySource(Settings(master_key=text))().ids == keys.ids


SECRET = base64.b64encode(b"too short a secret").decode()


@pytest.mark.parametrize(
    "text", ["", "# nothing", f"one {SECRET}", "one", f"one two {SECRET}", "one ???", SECRET]
)
def test_what_is_no_master_key_is_refused_and_never_quoted(text: str) -> None:
    with pytest.raises(SettingsInvalid) as refused:
        parse(text, "the file")
    assert "the file" in str(refused.value)
    assert SECRET not in str(refused.value)


def test_the_same_id_twice_is_refused() -> None:
    line = new_master_keys().text()
    with pytest.raises(SettingsInvalid, match="twice"):
        parse(line + line, "the file")


def test_a_missing_file_names_the_fix(tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match=r"master-keys cannot be read .* `orderfold keys new`"):
        MasterKeySource(Settings(data=tmp_path))


def test_those_of_a_container_stack_are_made_once_and_never_again(tmp_path: Path) -> None:
    make_secrets(tmp_path, 8080)
    keys = tmp_path / "keys" / "master-keys"
    kept = keys.read_bytes()
    make_secrets(tmp_path, 8080)
    assert keys.read_bytes() == kept
    keys.unlink()
    with pytest.raises(MasterKeyGone, match="restore them from their backup"):
        make_secrets(tmp_path, 8080)
    assert not keys.exists()
