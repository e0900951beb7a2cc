"""What a process's monitor tells of its connections to NATS."""

from __future__ import annotations

from nats.aio.client import Client

from infra.nats.connection import NatsUnavailable
from infra.observability.metrics.gauges import NATS_CONNECTED, NATS_RECONNECTS, Sample


class Connections:
    """The process's connections to NATS by what they are for; None until there is one."""

    def __init__(self, *names: str) -> None:
        self.names = names
        self._clients: dict[str, Client | None] = dict.fromkeys(names)

    def connected(self, name: str, client: Client) -> None:
        """This is the connection from now on."""
        self._clients[name] = client

    def client(self, name: str) -> Client:
        """A connection; raises NatsUnavailable while there is none."""
        client = self._clients[name]
        if client is None:
            raise NatsUnavailable(f"no connection to NATS for {name} yet")
        return client

    async def check(self) -> None:
        """Raises NatsUnavailable unless all of them are up."""
        missing = [name for name, client in self._clients.items() if not _up(client)]
        if missing:
            raise NatsUnavailable(f"no connection to NATS for {', '.join(missing)}")

    async def look(self) -> list[Sample]:
        """Which are up, and how often they were restored."""
        found = []
        for name, client in self._clients.items():
            found.append(Sample(NATS_CONNECTED, (name,), float(_up(client))))
            reconnects = client.stats["reconnects"] if client is not None else 0
            found.append(Sample(NATS_RECONNECTS, (name,), float(reconnects)))
        return found


def _up(client: Client | None) -> bool:
    return client is not None and client.is_connected
