"""What NetworkPolicies let through, as Kubernetes decides it."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from tests.deploy.k8s.rendering import Overlay, selects


class Pod(msgspec.Struct, frozen=True):
    """Somebody in the cluster."""

    labels: dict[str, str]
    namespace: str = ""
    """Empty for the overlay's own."""


class Elsewhere(msgspec.Struct, frozen=True):
    """Somebody outside the cluster."""

    address: str


Peer = Pod | Elsewhere


def may(overlay: Overlay, source: Peer, target: Peer, port: int, protocol: str = "TCP") -> bool:
    """Whether the source may open a connection to the target."""
    return _let(overlay, source, target, port, protocol, "Egress") and _let(
        overlay, target, source, port, protocol, "Ingress"
    )


def _let(overlay: Overlay, here: Peer, there: Peer, port: int, protocol: str, way: str) -> bool:
    """Whether the policies for `here` let it; where there are none, everything is let."""
    if isinstance(here, Elsewhere) or here.namespace:
        return True
    policies = [
        item["spec"]
        for item in overlay.of("NetworkPolicy")
        if way in item["spec"]["policyTypes"] and selects(item["spec"]["podSelector"], here.labels)
    ]
    rules = [rule for policy in policies for rule in policy.get(way.lower(), ())]
    return not policies or any(_rule(rule, there, port, protocol, way) for rule in rules)


def _rule(rule: Mapping[str, Any], there: Peer, port: int, protocol: str, way: str) -> bool:
    ports: Sequence[Mapping[str, Any]] = rule.get("ports", ())
    peers: Sequence[Mapping[str, Any]] = rule.get("to" if way == "Egress" else "from", ())
    named = {(item.get("protocol", "TCP"), item["port"]) for item in ports}
    return (not ports or (protocol, port) in named) and (
        not peers or any(_peer(item, there) for item in peers)
    )


def _peer(peer: Mapping[str, Any], there: Peer) -> bool:
    if isinstance(there, Elsewhere):
        return "ipBlock" in peer and _within(peer["ipBlock"], there.address)
    if "ipBlock" in peer:
        return False
    if "namespaceSelector" in peer:
        known = {"kubernetes.io/metadata.name": there.namespace}
        return selects(peer["namespaceSelector"], known) and selects(
            peer.get("podSelector", {}), there.labels
        )
    return not there.namespace and selects(peer["podSelector"], there.labels)


def _within(block: Mapping[str, Any], address: str) -> bool:
    found = ipaddress.ip_address(address)
    return found in ipaddress.ip_network(block["cidr"]) and not any(
        found in ipaddress.ip_network(item) for item in block.get("except", ())
    )
