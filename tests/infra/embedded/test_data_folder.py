"""The data folder of the embedded stack."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from infra.embedded.data_folder import LARGEST_LOG, DataFolder


@pytest.mark.parametrize("name", ["logs/gateway", "mongo/mongo", "nats/nats"])
def test_a_log_that_has_grown_too_large_is_set_aside(tmp_path: Path, name: str) -> None:
    log, other = tmp_path / f"{name}.log", tmp_path / f"{name}-other.log"
    log.parent.mkdir()
    log.touch()
    # A sparse file: it takes no room.
    os.truncate(log, LARGEST_LOG + 1)
    other.write_text("short")
    DataFolder(tmp_path).rotate_logs()
    assert not log.exists()
    assert log.with_suffix(".log.1").stat().st_size == LARGEST_LOG + 1
    assert other.read_text() == "short"
