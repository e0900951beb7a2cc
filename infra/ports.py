"""The embedded stack's ports: chosen once, kept in its data folder, checked at every start."""

from __future__ import annotations

import errno
import socket
from pathlib import Path

import msgspec

from infra.servers import free_port


class PortTaken(Exception):
    """Somebody else listens on a port the stack must have; the message names the port and the fix."""


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


def available(port: int, host: str = "127.0.0.1") -> bool:
    """Whether this process could listen there."""
    try:
        bind(port, host)
    except OSError:
        return False
    return True


def refuse_taken(port: int, host: str) -> None:
    """Raise PortTaken, saying why, unless this process could listen there."""
    try:
        bind(port, host)
    except PermissionError:
        msg = f"this user may not listen on port {port}; choose another with --port"
        raise PortTaken(msg) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} is taken; stop what listens there or choose another with --port"
        else:
            msg = f"cannot listen on {host}:{port}: {error.strerror}"
        raise PortTaken(msg) from None


def bind(port: int, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Connections of the last run that wait to be forgotten are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
