"""What tests of replays work on: the read models' fixtures."""

from __future__ import annotations

from tests.read_models.conftest import connection, logs, models, mongo

__all__ = ["connection", "logs", "models", "mongo"]
