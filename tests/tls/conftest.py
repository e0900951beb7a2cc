"""The development CA, and a stranger's."""

from __future__ import annotations

import pytest

from tests.tls.authority import Certificates


@pytest.fixture(scope="session")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those that servers and clients have."""
    return Certificates(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="session")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    """Those of another authority: alike, and believed by nobody."""
    return Certificates(tmp_path_factory.mktemp("strangers"))
