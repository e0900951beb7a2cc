"""An overlay as kustomize renders it, and what a test wants to know of its workloads."""

from __future__ import annotations

import functools
import json
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.deadlines import COMMAND_SECONDS

K8S = Path(__file__).parents[3] / "infra" / "deploy" / "k8s"
OVERLAYS = ("dev", "production")
RUNNING = ("Deployment", "StatefulSet")

Manifest = dict[str, Any]


@functools.cache
def unusable() -> str:
    """Why overlays cannot be rendered here; empty if they can."""
    if shutil.which("kubectl") is None:
        return "there is no kubectl"
    found = subprocess.run(
        ["kubectl", "version", "--client", "--output", "json"],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    version = json.loads(found.stdout or "{}").get("kustomizeVersion", "none")
    return "" if version.startswith("v5") else f"kubectl has kustomize {version}, and version 5 is needed"


@functools.cache
def rendered(folder: Path) -> str:
    """What `kubectl kustomize` makes of a folder."""
    found = subprocess.run(
        ["kubectl", "kustomize", str(folder)],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert found.returncode == 0, found.stderr
    # Warnings tell of deprecated fields.
    assert not found.stderr, found.stderr
    return found.stdout


class Overlay:
    """The manifests of an overlay."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.manifests: list[Manifest] = list(yaml.safe_load_all(rendered(K8S / "overlays" / name)))

    def of(self, *kinds: str) -> list[Manifest]:
        """All of some kinds."""
        return [item for item in self.manifests if item["kind"] in kinds]

    def one(self, kind: str, name: str) -> Manifest:
        """The one of a kind and name; generated ones by the name before the hash."""
        found = [
            item
            for item in self.of(kind)
            if item["metadata"]["name"] == name or item["metadata"]["name"].rpartition("-")[0] == name
        ]
        assert len(found) == 1, (kind, name, [item["metadata"]["name"] for item in found])
        return found[0]

    @property
    def workloads(self) -> list[Manifest]:
        """Whatever makes pods."""
        return self.of(*RUNNING, "CronJob")

    @property
    def running(self) -> list[Manifest]:
        """Whatever makes pods that are always there."""
        return self.of(*RUNNING)

    @property
    def settings(self) -> dict[str, dict[str, str]]:
        """By workload, the variables its containers of ours have."""
        return {
            name_of(workload): {
                key: value
                for source in container.get("envFrom", ())
                for key, value in self.one("ConfigMap", source["configMapRef"]["name"])["data"].items()
            }
            | {item["name"]: item["value"] for item in container.get("env", ()) if "value" in item}
            for workload in self.workloads
            for container in containers(workload)
            if "orderfold" in container["image"]
        }


def name_of(manifest: Manifest) -> str:
    return str(manifest["metadata"]["name"])


def template(workload: Manifest) -> Manifest:
    """What its pods are made of."""
    spec = workload["spec"]
    found: Manifest = (spec["jobTemplate"]["spec"] if workload["kind"] == "CronJob" else spec)["template"]
    return found


def pod(workload: Manifest) -> Manifest:
    """The specification of its pods."""
    found: Manifest = template(workload)["spec"]
    return found


def labels(workload: Manifest) -> dict[str, str]:
    """The labels of its pods."""
    found: dict[str, str] = template(workload)["metadata"]["labels"]
    return found


def containers(workload: Manifest) -> list[Manifest]:
    """All its containers, those that come first included."""
    return [*pod(workload)["containers"], *pod(workload).get("initContainers", ())]


def selects(selector: Mapping[str, Any], pod_labels: Mapping[str, str]) -> bool:
    """Whether a label selector selects a pod; an empty one selects all."""
    wanted = selector.get("matchLabels", {})
    if any(pod_labels.get(key) != value for key, value in wanted.items()):
        return False
    return all(_expressed(item, pod_labels) for item in selector.get("matchExpressions", ()))


def _expressed(expression: Mapping[str, Any], pod_labels: Mapping[str, str]) -> bool:
    value = pod_labels.get(expression["key"])
    match expression["operator"]:
        case "In":
            return value in expression["values"]
        case "NotIn":
            return value not in expression["values"]
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case other:
            raise AssertionError(other)


def secrets(overlay: Overlay) -> set[tuple[str, str]]:
    """The names and keys of the Secrets that pods, users and certificates of an overlay are made with."""
    roles = [role for cluster in overlay.of("Cluster") for role in cluster["spec"]["managed"]["roles"]]
    users = [user for mongo in overlay.of("MongoDBCommunity") for user in mongo["spec"]["users"]]
    certificates = [tls for ingress in overlay.of("Ingress") for tls in ingress["spec"]["tls"]]
    return {
        *(found for workload in overlay.workloads for found in mounted(workload)),
        *((role["passwordSecret"]["name"], key) for role in roles for key in ("username", "password")),
        *((user["passwordSecretRef"]["name"], user["passwordSecretRef"]["key"]) for user in users),
        *((tls["secretName"], key) for tls in certificates for key in ("tls.crt", "tls.key")),
    }


def mounted(workload: Manifest) -> Iterator[tuple[str, str]]:
    """The names and keys of the Secrets that its pods have as files."""
    for volume in pod(workload).get("volumes", ()):
        for source in volume.get("projected", {}).get("sources", [volume]):
            for item in source.get("secret", {}).get("items", ()):
                yield source["secret"].get("name") or source["secret"]["secretName"], item["key"]
