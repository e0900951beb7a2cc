"""infra/deploy/compose/tls.yaml over compose.yaml: every service speaks TLS, with its own certificate."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from contexts import NAMES
from infra.deploy.dev_ca import AUTHORITY, services

ROOT = Path(__file__).parents[3]
BASE: dict[str, Any] = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
FILE: dict[str, Any] = yaml.safe_load((ROOT / "infra/deploy/compose/tls.yaml").read_text())
OVER: dict[str, Any] = FILE["services"]
CLIENTS = sorted(name for name in BASE if "ORDERFOLD_NATS_URL" in BASE[name].get("environment", {}))
POSTGRES = ("ORDERFOLD_STORE", "ORDERFOLD_KEY_STORE")


def environment(name: str) -> dict[str, str]:
    return {**BASE[name]["environment"], **OVER[name]["environment"]}


@pytest.mark.parametrize("name", CLIENTS)
def test_a_service_speaks_tls_wherever_it_connects(name: str) -> None:
    given = environment(name)
    assert given["ORDERFOLD_NATS_URL"] == "tls://nats:4222"
    for setting in POSTGRES:
        if setting in given:
            plain, over = urlsplit(BASE[name]["environment"][setting]), urlsplit(given[setting])
            assert parse_qs(over.query) == {"sslmode": ["verify-full"]}
            assert over._replace(query="") == plain
    if "ORDERFOLD_MONGO_URL" in given:
        assert given["ORDERFOLD_MONGO_URL"] == BASE[name]["environment"]["ORDERFOLD_MONGO_URL"] + "&tls=true"


@pytest.mark.parametrize("name", CLIENTS)
def test_a_service_shows_the_certificate_of_its_own_nats_user(name: str) -> None:
    given = environment(name)
    user = given["ORDERFOLD_NATS_CREDENTIALS"].removeprefix("/run/secrets/nats_")
    if name == "auditor":
        user = "postgres"  # as whom it asks the stores
    assert given["ORDERFOLD_TLS_CA"] == "/run/secrets/tls_ca"
    assert given["ORDERFOLD_TLS_CERTIFICATE"] == f"/run/secrets/tls_{user}.pem"
    assert given["ORDERFOLD_TLS_KEY"] == f"/run/secrets/tls_{user}.key"
    assert set(OVER[name]["secrets"]) == {"tls_ca", f"tls_{user}.pem", f"tls_{user}.key"}


def test_every_user_of_postgresql_is_named_by_its_certificate() -> None:
    """clientcert=verify-full compares the two."""
    for name in NAMES:
        user = urlsplit(environment(name)["ORDERFOLD_STORE"]).username
        assert environment(name)["ORDERFOLD_TLS_CERTIFICATE"] == f"/run/secrets/tls_{user}.pem"


def test_everything_mounted_is_there_or_made_by_the_command() -> None:
    made = {f"./.compose/tls/{name}.{kind}" for name in (AUTHORITY, *services()) for kind in ("pem", "key")}
    mounted = [volume.split(":")[0] for service in OVER.values() for volume in service.get("volumes", ())]
    mounted += [secret["file"] for secret in FILE["secrets"].values()]
    for source in mounted:
        assert source in made or (ROOT / source).is_file(), source
    assert "./.compose/tls/ca.key" not in mounted


def test_only_what_has_to_differ_does() -> None:
    """The two files are read beside each other: what one says and the other does not is about TLS."""
    changes = {
        "infra/deploy/compose/haproxy.cfg": "infra/deploy/compose/tls/haproxy.cfg",
        "infra/deploy/compose/mongo-start.sh": "infra/deploy/compose/tls/mongo-start.sh",
        "infra/deploy/observability/prometheus/prometheus.yml": "infra/deploy/compose/tls/prometheus.yml",
    }
    for plain, over in changes.items():
        before, after = ((ROOT / name).read_text().splitlines() for name in (plain, over))
        gone = [line for line in before if line not in after]
        assert len(gone) <= 4, (plain, gone)
