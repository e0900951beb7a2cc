"""Nobody talks to anybody, except exactly those who have to."""

from __future__ import annotations

import itertools

import pytest

from contexts import NAMES
from tests.deploy.k8s.network import Elsewhere, Peer, Pod, may
from tests.deploy.k8s.rendering import Overlay, labels, name_of

pytestmark = pytest.mark.kubectl

CONTEXTS = [f"context-{name}" for name in NAMES]
PROCESSES = [*CONTEXTS, "gateway", "read-models"]
"""Those that are always there, and watched."""

PORTS = (53, 80, 443, 4222, 4318, 5432, 6222, 6443, 7777, 8000, 8080, 8090, 8222, 9464, 27017)

EVERYWHERE = {
    *((process, "nats", port) for process in [*PROCESSES, "verification"] for port in (4222, 8222)),
    *((context, "postgres", 5432) for context in CONTEXTS),
    *((process, "mongo", 27017) for process in ("gateway", "read-models", "verification")),
    *(("prometheus", process, 9464) for process in PROCESSES if process != "gateway"),
    ("prometheus", "gateway", 8080),
    ("proxy", "gateway", 8080),
}
HERE = {
    "dev": {
        ("context-payments", "provider", 8090),
        ("provider", "gateway", 8080),
    },
    "production": {
        ("context-payments", "internet", 443),
        ("gateway", "internet", 443),
        *((process, "collector", 4318) for process in [*PROCESSES, "verification"]),
        ("nats", "nats", 6222),
        ("prometheus", "nats", 7777),
        *(("postgres", "postgres", port) for port in (5432, 8000)),
        *(("keys", "keys", port) for port in (5432, 8000)),
        ("context-customers", "keys", 5432),
        *(("postgres-operator", server, port) for server in ("postgres", "keys") for port in (5432, 8000)),
        ("mongo", "mongo", 27017),
        *(
            (server, where, port)
            for server in ("postgres", "keys", "mongo")
            for where in ("internet", "inside")
            for port in (443, 6443)
        ),
    },
}


def peers(overlay: Overlay) -> dict[str, Peer]:
    """Everybody there is, and some who have no business here."""
    servers = {name: Pod({"orderfold/server": name}) for name in ("nats", "postgres", "keys", "mongo")}
    return {
        **servers,
        **{name_of(item): Pod(labels(item)) for item in overlay.workloads},
        "stranger": Pod({"app.kubernetes.io/name": "stranger"}),
        "proxy": Pod({}, "ingress-nginx"),
        "prometheus": Pod({}, "monitoring"),
        "collector": Pod({"app.kubernetes.io/name": "collector"}, "monitoring"),
        "postgres-operator": Pod({}, "cnpg-system"),
        "names": Pod({"k8s-app": "kube-dns"}, "kube-system"),
        "neighbour": Pod({"app.kubernetes.io/component": "context"}, "default"),
        "internet": Elsewhere("203.0.113.7"),
        "inside": Elsewhere("10.0.0.1"),
    }


def test_exactly_those_talk_who_have_to(overlay: Overlay) -> None:
    known = peers(overlay)
    outside = {name for name, peer in known.items() if isinstance(peer, Elsewhere) or peer.namespace}
    ours = known.keys() - outside
    # The monitoring namespace is let in as a whole: whoever watches is called differently everywhere.
    watching = {
        ("collector", *rest) for source, *rest in EVERYWHERE | HERE[overlay.name] if source == "prometheus"
    }
    expected = EVERYWHERE | HERE[overlay.name] | watching | {(name, "names", 53) for name in ours}
    found = {
        (source, target, port)
        for (source, target), port in itertools.product(itertools.product(known, known), PORTS)
        if not (source in outside and target in outside) and may(overlay, known[source], known[target], port)
    }
    assert found - expected == set()
    assert expected - found == set()


def test_names_are_looked_up_over_udp(overlay: Overlay) -> None:
    known = peers(overlay)
    assert may(overlay, known["gateway"], known["names"], 53, "UDP")
    assert not may(overlay, known["gateway"], known["inside"], 53, "UDP")


def test_ports_in_policies_are_those_in_settings(dev: Overlay) -> None:
    settings = dev.settings["context-payments"] | dev.settings["gateway"]
    for variable, end in {
        "ORDERFOLD_NATS_URL": "nats:4222",
        "ORDERFOLD_NATS_MONITOR_URL": "nats-headless:8222",
        "ORDERFOLD_STORE": "postgres-rw:5432/orderfold_{context}",
        "ORDERFOLD_PROVIDER_URL": "provider:8090",
        "ORDERFOLD_PORT": "8080",
        "ORDERFOLD_METRICS_PORT": "9464",
    }.items():
        assert settings[variable].endswith(end)
    assert "mongo-svc:27017/" in settings["ORDERFOLD_MONGO_URL"]
