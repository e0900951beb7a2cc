"""Rules and routes are what Prometheus and Alertmanager take; each alert fires where it should."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client.core import Metric

from gateway.monitoring.request_metrics import Metrics
from infra.observability.metrics import gauges
from infra.observability.metrics.gauges import Figure
from infra.observability.metrics.registry import REGISTRY
from tests.infra.observability.debian import CONFIGURATION, needs_prometheus, run

PROMETHEUS = CONFIGURATION / "prometheus"
RULES = [
    rule
    for file in sorted((PROMETHEUS / "rules").glob("*.yml"))
    for group in yaml.safe_load(file.read_text())["groups"]
    for rule in group["rules"]
]
ALERTS = [rule for rule in RULES if "alert" in rule]
AGREED = {
    *("ProjectionBehind", "RelayStalled", "JetStreamRefilled", "JetStreamHole", "DeadLetterAppeared"),
    *("FactParked", "StreamUnfit", "DocumentsLost", "EventsUnknown"),
    *("PaymentsDiffer", "PaymentsNotCompared", "PaymentMismatched"),
    *("FulfilmentStuck", "GatewayErrors", "StoreAppendSlow", "NatsNotSyncing", "ProcessDown"),
}
ROOT = Path(__file__).parents[3]


def exposed(families: list[Metric]) -> set[str]:
    """Every series name that families may have."""
    suffixes = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "gauge": ("",)}
    return {family.name + suffix for family in families for suffix in suffixes[family.type]}


KNOWN = exposed(
    [
        *REGISTRY.collect(),
        *Metrics().families(),
        *(figure.family() for figure in vars(gauges).values() if isinstance(figure, Figure)),
    ]
)


def series(expression: Any) -> set[str]:
    """The names an expression asks for."""
    if isinstance(expression, promql_parser.VectorSelector):
        return {expression.name or ""}
    parts = [getattr(expression, name, None) for name in ("lhs", "rhs", "expr", "vector_selector")]
    arguments = getattr(expression, "args", None) or []
    return {name for part in (*parts, *arguments) if part is not None for name in series(part)}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.get("alert") or rule["record"])
def test_a_rule_asks_for_what_is_exposed_or_recorded(rule: dict[str, Any]) -> None:
    """A name nobody exposes would make an alert that never fires."""
    recorded = {other["record"] for other in RULES if "record" in other}
    asked = series(promql_parser.parse(rule["expr"]))
    assert asked
    assert asked <= KNOWN | recorded | {"up"}


def test_there_is_every_alert_that_was_agreed() -> None:
    assert {rule["alert"] for rule in ALERTS} == AGREED


@pytest.mark.parametrize("alert", ALERTS, ids=lambda rule: rule["alert"])
def test_an_alert_says_what_happened_how_bad_it_is_and_where_it_is_written_what_to_do(
    alert: dict[str, Any],
) -> None:
    assert alert["labels"]["severity"] in {"critical", "warning"}
    assert alert["annotations"]["summary"]
    assert alert["annotations"]["description"]
    file, _, heading = alert["annotations"]["runbook"].partition("#")
    text = (ROOT / file).read_text()
    section = re.search(rf"(?im)^###? {heading}$(.*?)(?=^#|\Z)", text, re.DOTALL)
    assert section is not None
    assert f"`{alert['alert']}`" in section.group(1)


@pytest.mark.parametrize("name", sorted(AGREED))
def test_an_alerts_unit_test_has_it_fire_and_has_it_not_fire(name: str) -> None:
    tests = yaml.safe_load((PROMETHEUS / "tests" / "alerts.yml").read_text())["tests"]
    tried = [item for test in tests for item in test["alert_rule_test"] if item["alertname"] == name]
    fired = [len(item.get("exp_alerts", ())) for item in tried]
    # Expected are all alerts of the name and no others: with fewer, some of the series are not told of.
    assert max(fired) > min(fired)


class TestWithPrometheus:
    """What only its own programs can say."""

    pytestmark = needs_prometheus

    def test_the_configuration_and_its_rules_are_valid(self) -> None:
        assert "SUCCESS" in run("promtool", "check", "config", PROMETHEUS / "prometheus.yml")

    def test_every_alert_fires_and_does_not_as_its_unit_test_says(self) -> None:
        run("promtool", "test", "rules", PROMETHEUS / "tests" / "alerts.yml")

    def test_the_routes_are_valid(self) -> None:
        run("amtool", "check-config", CONFIGURATION / "alertmanager" / "alertmanager.yml")
