"""The embedded stack's ports: chosen once, kept in its data folder, checked at every start."""

from __future__ import annotations

from pathlib import Path

import msgspec

from infra.sockets import available, free_port, refuse_taken


class Ports(msgspec.Struct, frozen=True, kw_only=True):
    """Where each part of the embedded stack listens, all on loopback but the gateway."""

    gateway: int
    nats: int
    nats_http: int
    mongo: int
    provider: int
    contexts_metrics: int
    read_models_metrics: int

    @property
    def monitors(self) -> dict[str, str]:
        """Where contexts and read models tell their metrics and their health."""
        ports = {"contexts": self.contexts_metrics, "read-models": self.read_models_metrics}
        return {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}


INTERNAL = ("nats", "nats_http", "mongo", "provider", "contexts_metrics", "read_models_metrics")
"""Nobody outside the stack knows these: one that is taken is chosen anew."""


def choose_ports(file: Path, *, gateway: int, host: str = "127.0.0.1") -> Ports:
    """The ports kept in `file`, with the gateway's as asked for; raises PortTaken."""
    refuse_taken(gateway, host)
    kept = read_ports(file)
    chosen: dict[str, int] = {"gateway": gateway}
    for name in INTERNAL:
        port = getattr(kept, name) if kept else 0
        while port in {0, *chosen.values()} or not available(port):
            port = free_port()
        chosen[name] = port
    ports = Ports(**chosen)
    file.write_bytes(msgspec.json.format(msgspec.json.encode(ports), indent=2))
    return ports


def read_ports(file: Path) -> Ports | None:
    """The ports kept in `file`; None, so that they are chosen anew, if it is missing or spoilt."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Ports)
    except (FileNotFoundError, msgspec.DecodeError):
        return None
