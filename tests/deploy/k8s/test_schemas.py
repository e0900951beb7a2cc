"""Every manifest is what Kubernetes, or the operator that reads it, defines: no field more, none missing."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema  # type: ignore[import-untyped]
import kubernetes_validate  # type: ignore[import-untyped]
import pytest
import yaml

from infra.deploy.k8s.secrets import contents, manifest
from tests.deploy.k8s.rendering import Manifest, Overlay, name_of

KUBERNETES = "1.37"
SCHEMAS = Path(__file__).parent / "schemas"
"""Of custom kinds: what is used of them, as their definitions have it."""
CUSTOM = {path.stem: json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")}


def check(item: Manifest) -> None:
    """Raise if a manifest has an unknown kind, an unknown field or a value that does not fit."""
    if item["kind"] in CUSTOM:
        jsonschema.validate(item, CUSTOM[item["kind"]], jsonschema.Draft202012Validator)
    else:
        kubernetes_validate.validate(item, KUBERNETES, strict=True)


@pytest.mark.kubectl
def test_every_manifest_fits_its_schema(overlay: Overlay) -> None:
    for item in overlay.manifests:
        try:
            check(item)
        except jsonschema.ValidationError as error:
            pytest.fail(f"{item['kind']} {name_of(item)}: {error.json_path}: {error.message}")
    assert len(overlay.manifests) > 60


@pytest.mark.kubectl
def test_what_the_mongodb_operator_merges_fits_a_stateful_set(production: Overlay) -> None:
    (mongo,) = production.of("MongoDBCommunity")
    given = mongo["spec"]["statefulSet"]["spec"]
    template = given["template"]
    # The operator fills in what it knows itself.
    complete = {
        "serviceName": "mongo-svc",
        "selector": {"matchLabels": template["metadata"]["labels"]},
        **given,
        "template": template,
    }
    check({"apiVersion": "apps/v1", "kind": "StatefulSet", "metadata": {"name": "mongo"}, "spec": complete})


def test_secrets_of_a_developers_cluster_fit_their_schema(tmp_path: Path) -> None:
    for name, content in contents(tmp_path).items():
        check(dict(manifest(name, content)))


@pytest.mark.parametrize(
    "mistake",
    [
        "{apiVersion: apps/v1, kind: Deploiment, metadata: {name: a}}",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}, dato: {}}",
        "{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: [{port: http}]}}",
        "{apiVersion: postgresql.cnpg.io/v1, kind: Cluster, metadata: {name: a}, spec: {instances: 3, x: 1}}",
    ],
)
def test_a_mistake_does_not_pass(mistake: str) -> None:
    with pytest.raises((jsonschema.ValidationError, kubernetes_validate.SchemaNotFoundError)):
        check(yaml.safe_load(mistake))
