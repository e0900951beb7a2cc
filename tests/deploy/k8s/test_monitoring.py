"""What is watched on Kubernetes is what is watched everywhere: the same names, the same rules."""

from __future__ import annotations

import re
from pathlib import Path

import promql_parser
import pytest

from tests.deploy.k8s.prometheus_rules import manifest
from tests.deploy.k8s.rendering import Overlay, containers, labels, name_of, selects

pytestmark = pytest.mark.kubectl

INFRA = Path(__file__).parents[3] / "infra"


def test_rules_and_alerts_are_those_of_the_container_stack(production: Overlay) -> None:
    # If not: python -m tests.deploy.k8s.prometheus_rules
    assert production.one("PrometheusRule", "orderfold")["spec"] == manifest()["spec"]


def test_every_process_is_watched_once_on_a_port_it_has(production: Overlay) -> None:
    monitors = production.of("PodMonitor")
    for workload in production.running:
        (monitor,) = [item for item in monitors if selects(item["spec"]["selector"], labels(workload))]
        (endpoint,) = monitor["spec"]["podMetricsEndpoints"]
        ports = {port["name"] for container in containers(workload) for port in container["ports"]}
        assert endpoint["port"] in ports, name_of(workload)
        # By these labels the rules find what they are about.
        given = {item["targetLabel"]: item for item in endpoint["relabelings"]}
        assert given["job"]["replacement"] == "orderfold"
        assert given["service"]["sourceLabels"] == ["__meta_kubernetes_pod_label_app_kubernetes_io_name"]


def test_projectors_are_scaled_by_a_metric_there_is(production: Overlay) -> None:
    (scaled,) = production.of("ScaledObject")
    (query,) = [
        item["metadata"]["query"] for item in scaled["spec"]["triggers"] if item["type"] == "prometheus"
    ]
    promql_parser.parse(query)
    (metric,) = re.findall(r"orderfold_\w+", query)
    assert any(
        f'"{metric}"' in file.read_text() for file in (INFRA / "observability" / "metrics").glob("*.py")
    )
    assert f'namespace="{scaled["metadata"]["namespace"]}"' in query
    # There are no more partitions than sixteen to share.
    assert scaled["spec"]["maxReplicaCount"] <= 16
