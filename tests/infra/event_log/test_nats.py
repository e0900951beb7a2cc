"""The connection to NATS fails clearly, comes back by itself, and never does what it said had failed."""

from __future__ import annotations

import asyncio

import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.nats import connection as nats_connection
from infra.nats.connection import NatsUnavailable, NobodyListens, connect, publish, request
from infra.settings import Settings
from infra.sockets import free_port
from tests.conftest import Server
from tests.infra.event_log.ordering_log import eventually
from tests.support.deadlines import HOLDS_SECONDS


async def test_a_server_that_is_not_there_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nats_connection, "CONNECT_SECONDS", 0.5)
    url = f"nats://127.0.0.1:{free_port()}"
    with pytest.raises(
        NatsUnavailable, match=f"NATS at {url} cannot be used: .*ORDERFOLD_NATS_URL"
    ) as raised:
        await connect(Settings(nats_url=url), "test")
    assert "\n" not in str(raised.value)


async def test_a_request_nobody_listens_to_fails_at_once(connection: Client) -> None:
    with pytest.raises(NobodyListens):
        await request(connection, "svc.nobody", timeout=2 * HOLDS_SECONDS)


async def test_a_request_under_way_fails_when_the_connection_does(nats: Server, connection: Client) -> None:
    arrived = asyncio.Event()

    async def silent(_message: Msg) -> None:
        arrived.set()

    await connection.subscribe("svc.silent", cb=silent)
    asking = asyncio.create_task(request(connection, "svc.silent", timeout=2 * HOLDS_SECONDS))
    await arrived.wait()
    nats.process.kill()
    with pytest.raises(NatsUnavailable):
        await asyncio.wait_for(asking, HOLDS_SECONDS)


async def test_what_was_asked_while_disconnected_is_never_carried_out(
    nats: Server, connection: Client
) -> None:
    done: list[bytes] = []

    async def work(message: Msg) -> None:
        done.append(message.data)
        await message.respond(b"")

    await connection.subscribe("svc.work", cb=work)
    nats.process.kill()
    await eventually(lambda: _connected(connection, wanted=False))
    for send in (request, publish):
        with pytest.raises(NatsUnavailable):
            await send(connection, "svc.work", b"lost")
    nats.process.start()
    await eventually(lambda: _connected(connection, wanted=True))
    await request(connection, "svc.work", b"new")
    assert done == [b"new"]


async def test_a_connection_that_is_closed_while_it_reconnects_stops_trying(
    nats: Server, connection: Client
) -> None:
    nats.process.kill()
    await eventually(lambda: _connected(connection, wanted=False))
    trying = connection._reconnection_task
    assert trying is not None
    # As when its cancellation is lost, which `asyncio.wait_for` allows before Python 3.12.
    connection._reconnection_task = None
    await connection.close()
    await asyncio.wait_for(trying, HOLDS_SECONDS)


async def test_only_an_end_nobody_asked_for_is_reported(nats: Server) -> None:
    ended: list[str] = []
    asked = await connect(Settings(nats_url=nats.url), "asked", on_closed=lambda: ended.append("asked"))
    await asked.close()
    broken = await connect(Settings(nats_url=nats.url), "broken", on_closed=lambda: ended.append("broken"))
    # A protocol error: the server answers -ERR, and the client closes for good.
    assert broken._transport is not None
    broken._transport.write(b"NONSENSE\r\n")
    await eventually(lambda: _closed(broken))
    assert ended == ["broken"]


async def _connected(connection: Client, *, wanted: bool) -> bool:
    return connection.is_connected == wanted


async def _closed(connection: Client) -> bool:
    return connection.is_closed
