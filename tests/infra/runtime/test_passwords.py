"""Passwords come from files, so that neither the environment nor a list of settings shows them."""

from __future__ import annotations

from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from infra.settings import Settings, SettingsInvalid


def test_a_stores_password_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("p&ss w=rd/%\n")
    settings = Settings(store="postgresql://{context}@db/{context}?sslmode=prefer", store_password_file=file)
    known = conninfo_to_dict(settings.store_url("ordering"))
    assert known["user"] == "ordering"
    assert known["password"] == "p&ss w=rd/%"
    assert "p&ss" not in repr(settings)


def test_the_read_models_password_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret\n")
    assert Settings(mongo_password_file=file).mongo_password == "secret"
    assert Settings().mongo_password is None


@pytest.mark.parametrize("content", [None, ""])
def test_a_password_file_without_a_password_is_named(tmp_path: Path, content: str | None) -> None:
    file = tmp_path / "password"
    if content is not None:
        file.write_text(content)
    settings = Settings(store="postgresql://db/x", store_password_file=file, mongo_password_file=file)
    with pytest.raises(SettingsInvalid, match=str(file)):
        settings.store_url("ordering")
    with pytest.raises(SettingsInvalid, match=str(file)):
        _ = settings.mongo_password
