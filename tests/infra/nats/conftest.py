"""A server with the real configuration."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.infra.nats.server import GuardedServer


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[GuardedServer]:
    """One for all tests of a module."""
    server = GuardedServer(tmp_path_factory.mktemp("guarded"))
    server.process.start()
    yield server
    server.process.kill()
