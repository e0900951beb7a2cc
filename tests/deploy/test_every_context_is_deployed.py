"""Every deployment file that must name each context names them all: `contexts.NAMES` is the one list."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from contexts import NAMES
from infra.deploy.nats.configuration import COMMAND
from infra.deploy.nats_keys import users

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "infra" / "deploy"
OTHERS = {"read-models", "gateway"}
"""Prometheus asks these, too."""

Found = Callable[[str], set[str]]


def document(text: str) -> dict[str, Any]:
    """A YAML file of one document."""
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


def services(text: str) -> set[str]:
    """The contexts that compose.yaml runs."""
    commands = (service.get("command") for service in document(text)["services"].values())
    return {command[-1] for command in commands if command and command[:-1] == ["python", "-m", "contexts"]}


def passwords(text: str) -> set[str]:
    """The contexts whose passwords compose.yaml mounts into PostgreSQL."""
    mounted = document(text)["services"]["postgres"]["secrets"]
    return {name.removeprefix("store_") for name in mounted if name.startswith("store_")}


def certificates(text: str) -> set[str]:
    """The contexts with a certificate, of the services that have a store."""
    return {
        name
        for name, service in document(re.sub(r"!\w+", "", text))["services"].items()
        if "ORDERFOLD_STORE" in service.get("environment", {}) and name in NAMES
    }


def asked_by_prometheus(text: str) -> set[str]:
    """The names whose addresses Prometheus looks up."""
    return {
        name
        for job in document(text)["scrape_configs"]
        for found in job.get("dns_sd_configs", [])
        for name in found["names"]
    } - OTHERS


def folders(text: str) -> set[str]:
    """The contexts that Kubernetes runs."""
    return set(document(text)["resources"])


def projected(text: str) -> set[str]:
    """The contexts whose passwords the development PostgreSQL mounts."""
    return set(re.findall(r"name: postgres-(?!superuser|databases|rw)(\w+)$", text, re.MULTILINE))


def owners(text: str) -> set[str]:
    """The owners of the production cluster's databases."""
    return set(re.findall(r"^  owner: (\w+)$", text, re.MULTILINE))


FILES: dict[str, tuple[Found, str]] = {
    "compose.yaml (services)": (services, "a service with the command [python, -m, contexts, {}]"),
    "compose.yaml (postgres)": (passwords, "`- store_{}` among the secrets of `postgres`"),
    "infra/deploy/compose/tls.yaml": (certificates, "the service {} with its certificate"),
    "infra/deploy/observability/prometheus/prometheus.yml": (asked_by_prometheus, "{} among the names"),
    "infra/deploy/compose/tls/prometheus.yml": (asked_by_prometheus, "{} among the names"),
    "infra/deploy/k8s/base/contexts/kustomization.yaml": (folders, "`- {}`, and a folder of that name"),
    "infra/deploy/k8s/overlays/dev/postgres.yaml": (projected, "the secret postgres-{}"),
    "infra/deploy/k8s/overlays/production/postgres.yaml": (owners, "a Database with `owner: {}`"),
}


@pytest.mark.parametrize("file", FILES)
def test_a_deployment_file_names_every_context(file: str) -> None:
    found, line = FILES[file]
    named = found((ROOT / file.partition(" ")[0]).read_text())
    missing = [f"{file}: add {line.format(name)}" for name in NAMES if name not in named]
    assert missing == []
    assert named == set(NAMES)


def test_nats_has_a_user_for_every_context() -> None:
    missing = [name for name in NAMES if name not in users()]
    assert missing == [], f"infra/deploy/nats/nats-server.conf: run `{COMMAND}`"


def test_no_program_repeats_the_list() -> None:
    """A literal with three contexts in it is another list that somebody would have to remember."""
    three = re.compile(r"""["'](?:{0})["'],\s*["'](?:{0})["'],\s*["'](?:{0})["']""".format("|".join(NAMES)))
    repeating = [
        str(file.relative_to(ROOT))
        for package in ("contexts", "gateway", "infra", "read_models")
        for file in (ROOT / package).rglob("*.py")
        if three.search(file.read_text())
    ]
    assert repeating == ["contexts/__init__.py"]
