"""Processes find their settings and secrets: names are known, files are there, Secrets are described."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contexts import NAMES
from infra.deploy.k8s.secrets import contents
from infra.deploy.nats_keys import users
from infra.settings import load_settings
from tests.deploy.k8s.rendering import K8S, Overlay, containers, mounted, name_of, pod, secrets

pytestmark = pytest.mark.kubectl

SECRETS = "/run/secrets/orderfold/"


def test_every_process_can_read_its_settings(overlay: Overlay) -> None:
    for name, variables in overlay.settings.items():
        assert all(variable.startswith("ORDERFOLD_") for variable in variables), name
        # A name that is no setting is refused, and so is a value that does not fit.
        settings = load_settings(variables)
        if variables:
            assert settings.log_format == "json"
            assert settings.nats_url == "nats://nats:4222"


def test_every_file_a_setting_names_is_mounted(overlay: Overlay) -> None:
    for workload in overlay.workloads:
        variables = overlay.settings.get(name_of(workload), {})
        wanted = {value.removeprefix(SECRETS) for value in variables.values() if value.startswith(SECRETS)}
        mounted = {
            item["path"]
            for volume in pod(workload)["volumes"]
            for source in volume.get("projected", {}).get("sources", ())
            for item in source.get("secret", {}).get("items", ())
        }
        assert wanted <= mounted, name_of(workload)


def test_a_process_sees_no_secrets_but_its_own(overlay: Overlay) -> None:
    contexts = {f"context-{name}": {f"nats-{name}", f"postgres-{name}"} for name in NAMES}
    contexts["context-customers"].add("customers-master-keys")
    expected = contexts | {
        "gateway": {"nats-gateway", "payment-webhooks"},
        "read-models": {"nats-read-models"},
        "verification": {"nats-operator"},
    }
    if overlay.name == "dev":
        expected["gateway"].add("bearer-tokens")
        expected |= {"nats": {"nats-users"}, "mongo": set(), "provider": {"payment-webhooks"}}
        expected["postgres"] = {"postgres-superuser", *(f"postgres-{name}" for name in NAMES)}
    else:
        expected["gateway"].add("mongo-gateway")
        expected["read-models"].add("mongo-read-models")
        expected["verification"].add("mongo-read-models")
    found = {name_of(item): {secret for secret, _ in mounted(item)} for item in overlay.workloads}
    assert found == expected


def test_no_secret_is_in_a_manifest(overlay: Overlay) -> None:
    assert not overlay.of("Secret")
    for variables in overlay.settings.values():
        for value in variables.values():
            assert not re.search(r"//[^/@]*:[^/@]*@", value), value
    for workload in overlay.workloads:
        for container in containers(workload):
            assert not any("secretKeyRef" in item.get("valueFrom", {}) for item in container.get("env", ()))


def test_every_secret_is_described(overlay: Overlay) -> None:
    described = (K8S / "README.md").read_text()
    for name, key in secrets(overlay):
        generic = re.sub(rf"-({'|'.join(NAMES)})$", "-<context>", name)
        assert re.search(rf"^\| `{re.escape(generic)}` \|.*`{re.escape(key)}`", described, re.MULTILINE), (
            name,
            key,
        )


def test_the_secrets_made_for_development_are_those_it_wants(dev: Overlay, tmp_path: Path) -> None:
    made = contents(tmp_path)
    wanted = set(secrets(dev))
    assert wanted <= {(name, key) for name, content in made.items() for key in content}
    # Made again, they stay as they are.
    assert contents(tmp_path) == made


def test_every_nats_user_is_one_process(overlay: Overlay) -> None:
    seeds = {
        name.removeprefix("nats-").replace("-", "_") for name, key in secrets(overlay) if key == "nats.nk"
    }
    assert seeds == set(users())


def test_contexts_have_a_database_and_a_user_of_their_own(production: Overlay) -> None:
    databases = {
        (item["spec"]["cluster"]["name"], item["spec"]["name"]): item["spec"]["owner"]
        for item in production.of("Database")
    }
    assert databases == {
        **{("postgres", f"orderfold_{name}"): name for name in NAMES},
        ("keys", "customer_keys"): "customers",
    }
    for server, owners in {"postgres": sorted(NAMES), "keys": ["customers"]}.items():
        cluster = production.one("Cluster", server)
        assert [role["name"] for role in cluster["spec"]["managed"]["roles"]] == owners
    for name in NAMES:
        store = production.settings[f"context-{name}"]["ORDERFOLD_STORE"].replace("{context}", name)
        assert store == f"postgresql://{name}@postgres-rw:5432/orderfold_{name}"
