"""The rules of infra/deploy/observability for the Prometheus operator; run as a module, it writes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

INFRA = Path(__file__).parents[3] / "infra"
RULES = INFRA / "deploy" / "observability" / "prometheus" / "rules"
MANIFEST = INFRA / "deploy" / "k8s" / "components" / "monitoring" / "rules.yaml"

HEADER = """\
# Made of infra/deploy/observability/prometheus/rules by
# `python -m tests.deploy.k8s.prometheus_rules`: kustomize reads no file whose form is not Kubernetes' own,
# and none outside of its folders.
"""


def manifest() -> dict[str, Any]:
    """All groups of rules as one PrometheusRule."""
    files = [yaml.safe_load(file.read_text()) for file in sorted(RULES.glob("*.yml"))]
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "orderfold", "labels": {"app.kubernetes.io/part-of": "orderfold"}},
        "spec": {"groups": [group for file in files for group in file["groups"]]},
    }


if __name__ == "__main__":
    MANIFEST.write_text(HEADER + yaml.safe_dump(manifest(), sort_keys=False, width=110))
