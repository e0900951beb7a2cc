"""Dashboards: Grafana reads them, and every series, label, command and stage in them exists."""

from __future__ import annotations

import importlib
import json
import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard
from prometheus_client import CollectorRegistry, ProcessCollector

from contexts import NAMES
from contexts.fulfilment.events import Stage
from contexts.messages import Command, wire_name
from gateway.monitoring.request_metrics import Metrics
from infra.observability.metrics import gauges, registry

OBSERVABILITY = Path(__file__).parents[3] / "infra" / "deploy" / "observability"
DASHBOARD_FILES = sorted((OBSERVABILITY / "grafana" / "dashboards").glob("*.json"))

RANGES = {"$__rate_interval": "1m", "$__range": "1h"}
PROMETHEUS_OWN = {"up", "ALERTS"}

LOG_SELECTOR = re.compile(r"\{[^{}]*\}")


@pytest.fixture(scope="module", params=DASHBOARD_FILES, ids=lambda file: file.stem)
def dashboard(request: pytest.FixtureRequest) -> dict[str, Any]:
    """One dashboard as it is in the repository."""
    read: dict[str, Any] = json.loads(request.param.read_text())
    return read


def panels(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return [panel for panel in dashboard["panels"] if panel["type"] != "row"]


def variables(dashboard: dict[str, Any]) -> list[dict[str, Any]]:
    return list(dashboard.get("templating", {}).get("list", []))


def expressions(dashboard: dict[str, Any], datasource: str) -> list[str]:
    """What its panels ask a data source for."""
    targets = [target for panel in panels(dashboard) for target in panel["targets"]]
    return [target["expr"] for target in targets if target["datasource"]["uid"] == datasource]


def parsed(expression: str, dashboard: dict[str, Any]) -> promql_parser.Expr:
    """An expression as Prometheus would see it, with everything chosen."""
    for name, value in RANGES.items():
        expression = expression.replace(name, value)
    for variable in variables(dashboard):
        expression = expression.replace(f"${variable['name']}", ".+")
    assert "$" not in expression, "a variable the dashboard does not have"
    return promql_parser.parse(expression)


def selectors(node: Any) -> list[Any]:
    """The vector selectors in an expression."""
    found: list[Any] = []

    def look(part: Any) -> bool:
        if isinstance(part, promql_parser.VectorSelector):
            found.append(part)
        return True

    promql_parser.walk(node, look)
    return found


def exposed() -> dict[str, set[str]]:
    """Every series Orderfold's processes expose, with its labels."""
    registries = [registry.REGISTRY, Metrics()._registry]
    found: dict[str, set[str]] = {}
    for each in registries:
        for collector in set(each._collector_to_names):
            for family in collector.describe() if hasattr(collector, "describe") else ():
                # The library's own metrics know their labels, of others the family does.
                labels: Any = getattr(collector, "_labelnames", None) or getattr(family, "_labelnames", ())
                found |= {name: set(labels) for name in names_of(family.name, family.type)}
    for figure in vars(gauges).values():
        if isinstance(figure, gauges.Figure):
            found[figure.name + ("_total" if figure.counts else "")] = set(figure.labels)
    process = CollectorRegistry()
    ProcessCollector(registry=process)
    return found | {sample.name: set() for metric in process.collect() for sample in metric.samples}


def names_of(name: str, kind: str) -> list[str]:
    match kind:
        case "counter":
            return [f"{name}_total"]
        case "histogram":
            return [f"{name}_bucket", f"{name}_sum", f"{name}_count"]
        case _:
            return [name]


def recorded() -> set[str]:
    """What Prometheus's recording rules make."""
    rules = yaml.safe_load((OBSERVABILITY / "prometheus" / "rules" / "recording.yml").read_text())
    return {rule["record"] for group in rules["groups"] for rule in group["rules"]}


def datasources() -> dict[str, dict[str, Any]]:
    file = OBSERVABILITY / "grafana" / "provisioning" / "datasources" / "datasources.yaml"
    return {source["uid"]: source for source in yaml.safe_load(file.read_text())["datasources"]}


def test_grafanas_own_schema_reads_them_and_loses_nothing(dashboard: dict[str, Any]) -> None:
    again = json.loads(json.dumps(Dashboard.from_json(dashboard), cls=JSONEncoder))
    assert again == dashboard


def test_dashboards_are_told_apart_and_find_each_other() -> None:
    read = [json.loads(file.read_text()) for file in DASHBOARD_FILES]
    assert read
    assert len({dashboard["uid"] for dashboard in read}) == len(read)
    assert len({dashboard["title"] for dashboard in read}) == len(read)
    assert all(dashboard["description"] and dashboard["tags"] == ["orderfold"] for dashboard in read)
    assert all(dashboard["links"][0]["tags"] == ["orderfold"] for dashboard in read)


def test_every_panel_says_what_it_shows_and_in_which_unit(dashboard: dict[str, Any]) -> None:
    shown = panels(dashboard)
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in shown:
        assert panel["title"]
        assert panel["description"].endswith((".", "…")), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["targets"], panel["title"]


def test_no_panel_lies_over_another(dashboard: dict[str, Any]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in dashboard["panels"]:
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24, panel["title"]
        cells = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not cells & taken, panel["title"]
        taken |= cells


def test_every_expression_is_promql_about_series_and_labels_there_are(dashboard: dict[str, Any]) -> None:
    known, made = exposed(), recorded()
    asked = expressions(dashboard, "prometheus")
    assert asked
    for expression in asked:
        found = selectors(parsed(expression, dashboard))
        assert found, expression
        for selector in found:
            assert selector.name in known.keys() | made | PROMETHEUS_OWN, expression
            labels = {matcher.name for matcher in selector.matchers.matchers}
            if known.get(selector.name):
                assert labels <= known[selector.name] | {"job", "service", "instance"}, expression


def test_commands_and_stages_that_are_named_exist(dashboard: dict[str, Any]) -> None:
    commands = {
        wire_name(kind).partition(".")[2]
        for name in NAMES
        for kind in vars(importlib.import_module(f"contexts.{name}.commands")).values()
        if isinstance(kind, type) and issubclass(kind, Command) and kind.__struct_config__.tag
    }
    known = {"command": commands, "stage": {stage.value for stage in Stage}}
    for expression in expressions(dashboard, "prometheus"):
        for selector in selectors(parsed(expression, dashboard)):
            for matcher in selector.matchers.matchers:
                if matcher.name in known:
                    assert set(matcher.value.split("|")) <= known[matcher.name], expression


def test_variables_are_labels_of_series_there_are(dashboard: dict[str, Any]) -> None:
    known = exposed()
    for variable in variables(dashboard):
        asked = re.fullmatch(r"label_values\((\w+), (\w+)\)", variable["query"])
        assert asked is not None
        assert asked[2] == variable["name"]
        assert asked[2] in known[asked[1]]


def test_logs_are_asked_for_by_their_service(dashboard: dict[str, Any]) -> None:
    for expression in expressions(dashboard, "loki"):
        selector = LOG_SELECTOR.match(expression)
        assert selector is not None
        (found,) = selectors(promql_parser.parse(selector[0]))
        assert [matcher.name for matcher in found.matchers.matchers] == ["service_name"]


def test_datasources_are_those_that_are_provisioned(dashboard: dict[str, Any]) -> None:
    known = {uid: source["type"] for uid, source in datasources().items()}
    named = [panel["datasource"] for panel in panels(dashboard)]
    named += [target["datasource"] for panel in panels(dashboard) for target in panel["targets"]]
    named += [variable["datasource"] for variable in variables(dashboard)]
    assert {source["uid"]: source["type"] for source in named}.items() <= known.items()


def test_traces_and_logs_lead_to_each_other() -> None:
    known = datasources()
    assert known["tempo"]["jsonData"]["tracesToLogsV2"]["datasourceUid"] in known
    (field,) = known["loki"]["jsonData"]["derivedFields"]
    assert field["datasourceUid"] == "tempo"
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    line = json.dumps({"event": "request", "trace_id": trace}, separators=(",", ":"))
    found = re.search(field["matcherRegex"], line)
    assert found is not None
    assert found[1] == trace


def test_the_dashboards_are_provisioned_from_where_they_are_mounted() -> None:
    file = OBSERVABILITY / "grafana" / "provisioning" / "dashboards" / "dashboards.yaml"
    (provider,) = yaml.safe_load(file.read_text())["providers"]
    assert Path(provider["options"]["path"]) == Path("/etc/grafana/dashboards")
    assert provider["allowUiUpdates"] is False
