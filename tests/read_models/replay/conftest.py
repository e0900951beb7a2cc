"""What tests of replays work on: the read models' fixtures, and the commands."""

from __future__ import annotations

import pytest

from tests.conftest import Server
from tests.read_models.conftest import connection, logs, models, mongo
from tests.read_models.replay.terminal import operator
from tests.read_models.replay.versions import Command

__all__ = ["connection", "logs", "models", "mongo", "operator"]


@pytest.fixture
def replay(nats: Server, mongo_url: str, mongo_database: str) -> Command:
    """`replay` commands on the test's servers."""
    return Command(nats.url, mongo_url, mongo_database)
