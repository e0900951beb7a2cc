"""compose.yaml as a file: what every service must have, and that what it mounts is there."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml

from gateway.http.headers import LONGEST_WAIT
from infra.deploy.nats_keys import users
from tests.deploy.compose.stack import CORE, ROOT

FILE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())
SERVICES: dict[str, dict[str, Any]] = FILE["services"]
COMMAND_MARGIN = 20
"""Seconds a command may take after what it waited for."""
OURS = "localhost/orderfold:dev"
WITHOUT_A_PROGRAM_TO_ASK_WITH = {"collector", "tempo"}
ON_DEMAND = {"operator", "auditor"}
PUBLISHED = {"edge", "prometheus", "alertmanager", "grafana"}
MADE = "./.compose/"


def test_the_core_is_what_is_tested_in_containers() -> None:
    assert {name for name, service in SERVICES.items() if service["profiles"] == ["core"]} == set(CORE)


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_a_service_is_bounded_and_looked_after(name: str) -> None:
    service = SERVICES[name]
    assert service["image"] == OURS or service["image"].startswith("docker.io/")
    assert ":" in service["image"].rpartition("/")[2]
    assert {"mem_limit", "cpus", "pids_limit", "stop_grace_period"} <= service.keys()
    assert "no-new-privileges:true" in service["security_opt"]
    if name not in ON_DEMAND:
        assert service["restart"] == "unless-stopped"
    if name not in WITHOUT_A_PROGRAM_TO_ASK_WITH | ON_DEMAND:
        command = service["healthcheck"]["test"]
        assert command[0] == "CMD"
        assert not [argument for argument in command if " " in argument]
    if service["image"] == OURS:
        assert service["read_only"]
        assert service["cap_drop"] == ["ALL"]


@pytest.mark.parametrize("name", sorted(SERVICES))
def test_only_the_edge_and_dashboards_are_published_and_on_loopback(name: str) -> None:
    service = SERVICES[name]
    assert ("edge" in service["networks"]) == (name in PUBLISHED)
    assert bool(service.get("ports")) == (name in PUBLISHED)
    for port in service.get("ports", []):
        assert port.startswith("127.0.0.1:")
    assert FILE["networks"]["internal"]["internal"]


def test_secrets_are_made_files_and_each_service_has_its_own_nats_user() -> None:
    for secret in FILE["secrets"].values():
        assert secret["file"].startswith(MADE)
    assert f"{MADE.removeprefix('./')}" in (ROOT / ".gitignore").read_text().splitlines()
    given = {
        service["environment"]["ORDERFOLD_NATS_CREDENTIALS"].removeprefix("/run/secrets/nats_")
        for service in SERVICES.values()
        if "ORDERFOLD_NATS_CREDENTIALS" in service.get("environment", {})
    }
    assert given == set(users())


def test_what_is_mounted_is_there() -> None:
    for service in SERVICES.values():
        for mount in service.get("volumes", []):
            source = mount.partition(":")[0]
            if source.startswith("./") and not source.startswith(MADE):
                assert (ROOT / source).exists(), source
            elif not source.startswith("."):
                assert source in FILE["volumes"], source


HAPROXY = ("infra/deploy/compose/haproxy.cfg", "infra/deploy/compose/tls/haproxy.cfg")


@pytest.mark.parametrize("file", HAPROXY)
def test_the_edge_waits_longer_than_a_request_may_ask_to_wait(file: str) -> None:
    """Else a request that is answered late is answered by the edge: without a problem, and perhaps done."""
    timeouts = dict(re.findall(r"^  timeout (\S+) (\d+)s$", (ROOT / file).read_text(), re.MULTILINE))
    assert int(timeouts["server"]) >= LONGEST_WAIT + COMMAND_MARGIN
    assert int(timeouts["client"]) >= LONGEST_WAIT + COMMAND_MARGIN


@pytest.mark.parametrize("file", HAPROXY)
def test_the_edge_publishes_the_api_and_nothing_operational(file: str) -> None:
    api = (ROOT / file).read_text().partition("frontend api")[2].partition("\nbackend")[0]
    public = {
        path
        for paths in re.findall(r"^  acl public path(?:_beg)? (.+)$", api, re.MULTILINE)
        for path in paths.split()
    }
    assert public == {"/v1/", "/docs", "/openapi.json", "/health/"}
    assert "http-request deny deny_status 404 unless public" in api
