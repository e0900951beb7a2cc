"""What a process's monitor tells of nats-server: how safely it writes."""

from __future__ import annotations

import asyncio
import ssl

import httpx
import msgspec

from infra.observability.metrics.gauges import NATS_SYNC_ALWAYS, Sample

VARZ_SECONDS = 2.0


class JetStreamConfig(msgspec.Struct):
    """How the server keeps JetStream's files."""

    sync_always: bool = False


class JetStreamVariables(msgspec.Struct):
    """JetStream, as the server describes it."""

    config: JetStreamConfig | None = None


class Variables(msgspec.Struct):
    """The server, as it describes itself."""

    jetstream: JetStreamVariables | None = None


class NatsServerCollector:
    """Asks nats-server's monitoring port how it writes."""

    def __init__(self, url: str) -> None:
        self._url = f"{url.rstrip('/')}/varz"
        self._tls: ssl.SSLContext | None = None

    async def look(self) -> list[Sample]:
        """Whether every write is synced; nothing where the port is not to be reached."""
        if self._tls is None:
            # It takes 15 ms, which commands would have to wait for at every scrape.
            self._tls = await asyncio.to_thread(ssl.create_default_context)
        async with httpx.AsyncClient(timeout=VARZ_SECONDS, verify=self._tls) as client:
            answer = await client.get(self._url)
        variables = msgspec.json.decode(answer.raise_for_status().content, type=Variables)
        config = variables.jetstream.config if variables.jetstream else None
        return [] if config is None else [Sample(NATS_SYNC_ALWAYS, (), float(config.sync_always))]
