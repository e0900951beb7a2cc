"""The collector's and Tempo's configurations fit together, and to what Orderfold sends."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

FOLDER = Path(__file__).parents[4] / "infra" / "deploy" / "observability"
COLLECTOR: dict[str, Any] = yaml.safe_load((FOLDER / "collector" / "config.yaml").read_text())
TEMPO: dict[str, Any] = yaml.safe_load((FOLDER / "tempo" / "tempo.yaml").read_text())


@pytest.mark.parametrize("name", COLLECTOR["service"]["pipelines"])
def test_pipelines_are_made_of_what_is_configured(name: str) -> None:
    """The collector does not start with a pipeline that names what there is not."""
    pipeline = COLLECTOR["service"]["pipelines"][name]
    for kind in ("receivers", "processors", "exporters"):
        assert pipeline[kind]
        assert set(pipeline[kind]) <= COLLECTOR[kind].keys()
    assert pipeline["processors"][0] == "memory_limiter"


def test_traces_reach_tempo_where_it_listens() -> None:
    (exporter,) = COLLECTOR["service"]["pipelines"]["traces"]["exporters"]
    port = COLLECTOR["exporters"][exporter]["endpoint"].rpartition(":")[2]
    listening = TEMPO["distributor"]["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert listening == f"0.0.0.0:{port}"


def test_the_collector_listens_for_otlp_over_http_on_its_usual_port() -> None:
    assert COLLECTOR["receivers"]["otlp"]["protocols"]["http"]["endpoint"] == "0.0.0.0:4318"
