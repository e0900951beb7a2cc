"""The servers the platform stands on: NATS, MongoDB, the payment provider, the gateway."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from gateway.cli.connection import url_of
from gateway.cli.doctor.finding import Checked
from infra.mongo import Mongo, MongoUnavailable
from infra.nats.connection import NatsUnavailable, connect
from infra.observability.health.readiness import troubles
from infra.security.tls import client_context
from infra.settings import Settings, SettingsInvalid

SECONDS = 5.0
CLOCK_SECONDS = 2.0
"""Clocks further apart make times, deadlines and tokens unreliable."""
OLDEST_NATS = (2, 14)
"""Older servers cannot reset a consumer."""


async def check_servers(settings: Settings) -> list[Checked]:
    """Ask each of them how it is."""
    tls = await asyncio.to_thread(client_context, *settings.client_tls)
    async with httpx.AsyncClient(timeout=SECONDS, verify=tls) as client:
        groups: Sequence[list[Checked]] = await asyncio.gather(
            check_nats(settings),
            check_nats_server(client, settings.nats_monitor_url),
            check_mongo(settings),
            check_provider(client, settings.provider_url),
            check_gateway(client, url_of(settings)),
        )
    return [checked for group in groups for checked in group]


async def check_nats(settings: Settings) -> list[Checked]:
    """Whether a connection can be made."""
    try:
        client = await connect(settings, "operator-doctor")
    except (NatsUnavailable, SettingsInvalid) as error:
        return [Checked("NATS", str(error), "start nats-server (`orderfold up`), or set ORDERFOLD_NATS_URL")]
    await client.close()
    return [Checked("NATS", f"reached at {settings.nats_url}")]


async def check_nats_server(client: httpx.AsyncClient, url: str) -> list[Checked]:
    """How the server is set up, by what it says of itself."""
    try:
        reply = await client.get(f"{url}/varz")
        varz: dict[str, Any] = reply.raise_for_status().json()
    except (httpx.HTTPError, ValueError) as error:
        fix = "set ORDERFOLD_NATS_MONITOR_URL to the server's `http` address"
        return [Checked("NATS monitoring", f"{url}: {said(error)}", fix)]
    return [nats_version(varz), sync_always(varz), clock("NATS", varz.get("now", ""))]


def nats_version(varz: dict[str, Any]) -> Checked:
    """Whether the server is new enough."""
    text = str(varz.get("version", "unknown"))
    numbers = tuple(int(number) for number in re.findall(r"\d+", text)[:2])
    fix = "" if numbers >= OLDEST_NATS else "install nats-server 2.14 or newer"
    return Checked("NATS version", text, fix)


def sync_always(varz: dict[str, Any]) -> Checked:
    """Whether JetStream is there and writes to the disk before it acknowledges."""
    config = varz.get("jetstream", {}).get("config")
    if not config:
        return Checked("JetStream", "not enabled", "enable it by a `jetstream` block in its configuration")
    always = bool(config.get("sync_always"))
    return Checked(
        "JetStream",
        "fsync before every acknowledgement" if always else "acknowledges before fsync",
        "" if always else "set `sync_interval: always` in the server's `jetstream` block",
    )


def clock(whose: str, now: str) -> Checked:
    """How far a server's clock is from ours."""
    try:
        theirs = datetime.fromisoformat(now)
    except ValueError:
        return Checked(f"clock of {whose}", "it does not tell the time")
    apart = abs((datetime.now(UTC) - theirs).total_seconds())
    fix = "" if apart <= CLOCK_SECONDS else "synchronise the machines' clocks (NTP)"
    return Checked(f"clock of {whose}", f"{apart:.1f} s from ours", fix)


async def check_mongo(settings: Settings) -> list[Checked]:
    """Whether MongoDB answers and has transactions."""
    try:
        mongo = Mongo(settings)
        try:
            await mongo.check()
            server = await mongo.server()
        finally:
            mongo.close()
    except MongoUnavailable as error:
        fix = "start a MongoDB replica set (`orderfold up`), or set ORDERFOLD_MONGO_URL"
        return [Checked("MongoDB", str(error), fix)]
    return [Checked("MongoDB", f"{server}, a replica set, with transactions")]


async def check_provider(client: httpx.AsyncClient, url: str) -> list[Checked]:
    """Whether the payment provider answers."""
    try:
        reply = await client.get(f"{url}/health")
    except httpx.HTTPError as error:
        return [
            Checked("payment provider", f"{url}: {said(error)}", "start it, or set ORDERFOLD_PROVIDER_URL")
        ]
    fix = "" if reply.is_success else "see the provider's log"
    return [Checked("payment provider", f"{url} answers {reply.status_code}", fix)]


async def check_gateway(client: httpx.AsyncClient, url: str) -> list[Checked]:
    """Whether the gateway says that everything is ready."""
    try:
        reply = await client.get(f"{url}/health/ready")
    except httpx.HTTPError as error:
        return [
            Checked("gateway", f"{url}: {said(error)}", "start it: `orderfold up` or `python -m gateway`")
        ]
    what = "; ".join(troubles(reply.content))
    if reply.is_success and not what:
        return [Checked("gateway", f"{url} is ready")]
    what = what or f"status {reply.status_code}"
    ready = "is ready" if reply.is_success else "is not ready"
    # What readiness finds wrong names its remedy itself.
    return [Checked("gateway", f"{url} {ready}", what)]


def said(error: Exception) -> str:
    """An error in words, also where the library has none."""
    return str(error) or type(error).__name__
