"""All dashboards, and their form in the repository."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from infra.deploy.observability.grafana.nats import nats
from infra.deploy.observability.grafana.overview import overview
from infra.deploy.observability.grafana.read_models import read_models
from infra.deploy.observability.grafana.sagas import sagas
from infra.deploy.observability.grafana.stores import stores

FOLDER = Path(__file__).parent / "dashboards"

DASHBOARDS: dict[str, Callable[[], Dashboard]] = {
    "overview": overview,
    "sagas": sagas,
    "stores": stores,
    "read-models": read_models,
    "nats": nats,
}
"""By the names of their files."""


def written(dashboard: Dashboard) -> str:
    """A dashboard as Grafana reads it."""
    return json.dumps(dashboard, cls=JSONEncoder, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def write_all(folder: Path = FOLDER) -> None:
    """Write every dashboard's file."""
    for name, make in DASHBOARDS.items():
        (folder / f"{name}.json").write_text(written(make()))
