"""Every workload is watched, bounded, locked up, spread and protected from being drained as a whole."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from contexts import NAMES
from tests.deploy.k8s.rendering import Overlay, containers, labels, name_of, pod, selects

pytestmark = pytest.mark.kubectl

PROJECT = Path(__file__).parents[3]
VERSION = re.compile(r"\d+\.\d+(\.\d+)?(-alpine)?|dev")


def test_every_context_and_process_has_a_workload(overlay: Overlay) -> None:
    ours = {f"context-{name}" for name in NAMES} | {"gateway", "read-models"}
    servers = {"nats", "mongo", "postgres", "provider"} if overlay.name == "dev" else set()
    assert {name_of(item) for item in overlay.running} == ours | servers


def test_a_context_is_started_by_its_own_name(overlay: Overlay) -> None:
    for name in NAMES:
        (container,) = containers(overlay.one("Deployment", f"context-{name}"))
        (variable,) = [item for item in container["env"] if "valueFrom" in item]
        assert container["command"] + container["args"] == [
            "python",
            "-m",
            "contexts",
            f"$({variable['name']})",
        ]
        assert variable["valueFrom"]["fieldRef"]["fieldPath"] == "metadata.labels['app.kubernetes.io/name']"
        assert labels(overlay.one("Deployment", f"context-{name}"))["app.kubernetes.io/name"] == name


def test_every_container_is_probed_on_a_port_it_has(overlay: Overlay) -> None:
    for workload in overlay.running:
        for container in containers(workload):
            ports = {port["name"] for port in container["ports"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                asked = container[probe].get("httpGet") or container[probe].get("tcpSocket")
                assert asked is None or asked["port"] in ports, (name_of(workload), probe)


def test_processes_of_ours_are_probed_where_they_answer(overlay: Overlay) -> None:
    for workload in overlay.running:
        name = name_of(workload)
        settings = overlay.settings.get(name)
        if not settings:
            continue
        (container,) = containers(workload)
        (port,) = container["ports"]
        listens = "ORDERFOLD_PORT" if name == "gateway" else "ORDERFOLD_METRICS_PORT"
        assert str(port["containerPort"]) == settings[listens]
        assert settings["ORDERFOLD_HOST" if name == "gateway" else "ORDERFOLD_METRICS_HOST"] == "0.0.0.0"
        assert container["livenessProbe"]["httpGet"]["path"] == "/health/live"


def test_every_container_has_resources(overlay: Overlay) -> None:
    for workload in overlay.workloads:
        for container in containers(workload):
            assert {"cpu", "memory"} <= container["resources"]["requests"].keys()
            assert "memory" in container["resources"]["limits"]


def test_every_pod_is_restricted(overlay: Overlay) -> None:
    for workload in overlay.workloads:
        context = pod(workload)["securityContext"]
        assert context["runAsNonRoot"] is True
        assert context["runAsUser"] > 0
        assert context["seccompProfile"] == {"type": "RuntimeDefault"}
        assert pod(workload)["automountServiceAccountToken"] is False
        assert not {"hostNetwork", "hostPID", "hostIPC"} & pod(workload).keys()
        for container in containers(workload):
            assert container["securityContext"] == {
                "allowPrivilegeEscalation": False,
                "readOnlyRootFilesystem": True,
                "capabilities": {"drop": ["ALL"]},
            }
            assert not any("hostPath" in volume for volume in pod(workload).get("volumes", ()))


def test_every_workload_has_an_account_of_its_own_without_a_token(overlay: Overlay) -> None:
    accounts = [pod(workload)["serviceAccountName"] for workload in overlay.workloads]
    assert len(set(accounts)) == len(accounts)
    for account in accounts:
        assert overlay.one("ServiceAccount", account)["automountServiceAccountToken"] is False


def test_selectors_select_the_pods_they_are_made_for_and_no_others(overlay: Overlay) -> None:
    pods = {name_of(item): labels(item) for item in overlay.workloads}
    for workload in overlay.running:
        assert [name for name in pods if selects(workload["spec"]["selector"], pods[name])] == [
            name_of(workload)
        ]
        for spread in pod(workload).get("topologySpreadConstraints", ()):
            found = [name for name in pods if selects(spread["labelSelector"], pods[name])]
            assert found == [name_of(workload)]
    for service in overlay.of("Service"):
        served = [
            item
            for item in overlay.running
            if selects({"matchLabels": service["spec"]["selector"]}, labels(item))
        ]
        assert len(served) == 1, name_of(service)
        ports = {port["name"] for container in containers(served[0]) for port in container["ports"]}
        assert {port["targetPort"] for port in service["spec"]["ports"]} <= ports


def test_every_workload_has_a_disruption_budget(overlay: Overlay) -> None:
    budgets = overlay.of("PodDisruptionBudget")
    for workload in overlay.running:
        (budget,) = [item for item in budgets if selects(item["spec"]["selector"], labels(workload))]
        # A minimum would keep a node with the only pod from ever being drained.
        assert budget["spec"]["maxUnavailable"] == 1


def test_workloads_of_ours_are_spread_over_machines_and_zones(production: Overlay) -> None:
    for workload in production.running:
        keys = {item["topologyKey"] for item in pod(workload)["topologySpreadConstraints"]}
        assert keys == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}


def test_in_production_an_autoscaler_says_how_many_pods_there_are(production: Overlay) -> None:
    scaled = [
        (
            item["spec"]["scaleTargetRef"]["name"],
            item["spec"].get("minReplicas") or item["spec"]["minReplicaCount"],
        )
        for item in production.of("HorizontalPodAutoscaler", "ScaledObject")
    ]
    assert sorted(name for name, _ in scaled) == sorted(map(name_of, production.running))
    # One may be drained or die, and another is there.
    assert all(least >= 2 for _, least in scaled)
    assert not any("replicas" in item["spec"] for item in production.running)


def test_in_development_there_is_one_of_each(dev: Overlay) -> None:
    assert {item["spec"]["replicas"] for item in dev.running} == {1}
    assert not dev.of("HorizontalPodAutoscaler", "ScaledObject")


def test_a_pod_has_longer_to_stop_than_its_process_takes(overlay: Overlay) -> None:
    gateway = overlay.one("Deployment", "gateway")
    (container,) = containers(gateway)
    wait = container["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod(gateway)["terminationGracePeriodSeconds"] > wait + 10 + 1


def test_images_have_a_version_that_kustomize_gives_them(overlay: Overlay) -> None:
    for workload in overlay.workloads:
        for container in containers(workload):
            _, _, tag = container["image"].rpartition(":")
            assert VERSION.fullmatch(tag), container["image"]


def test_production_runs_this_version(production: Overlay) -> None:
    project = (PROJECT / "pyproject.toml").read_text()
    found = re.search(r'^version = "(.+)"$', project, re.MULTILINE)
    assert found
    images = {container["image"] for workload in production.workloads for container in containers(workload)}
    assert images == {f"ghcr.io/orderfold/orderfold:{found[1]}"}
