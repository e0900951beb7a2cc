"""The overlays, rendered by kustomize."""

from __future__ import annotations

import pytest

from tests.deploy.k8s.rendering import OVERLAYS, Overlay, unusable


@pytest.fixture(scope="session", params=OVERLAYS)
def overlay(request: pytest.FixtureRequest) -> Overlay:
    """Each overlay, rendered."""
    return _overlay(request.param)


@pytest.fixture(scope="session")
def dev() -> Overlay:
    """The overlay for a developer's cluster, rendered."""
    return _overlay("dev")


@pytest.fixture(scope="session")
def production() -> Overlay:
    """The overlay for production, rendered."""
    return _overlay("production")


def _overlay(name: str) -> Overlay:
    if unusable():
        pytest.skip(unusable())
    return Overlay(name)
