"""A replay reads logs and writes its own documents: no command, no timer, no event."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import nats as nats_client
import pytest
from nats.aio.client import Client
from nats.aio.msg import Msg

from infra.event_log.client import LogClient
from infra.event_log.stream_audit import stream_contents
from infra.mongo import Mongo
from read_models.registry import MODELS
from tests.conftest import Server
from tests.read_models.logs import Logs, eventually, stored
from tests.read_models.replay.replaying import lives, replayed, shop_opened

CONTEXTS = sorted({context for model in MODELS.values() for context in model.contexts})

HARMLESS = re.compile(
    r"svc\.\w+\.(log|behind)"  # questions about logs
    r"|head\.\w+"  # where logs end, told by their contexts
    r"|_INBOX\w*\..+"  # answers
    r"|\$JS\.API\.STREAM\.(INFO|MSG\.GET)\..+"  # relays that look whether their streams are whole
)


@asynccontextmanager
async def everything_heard(nats: Server) -> AsyncIterator[list[str]]:
    """The subject of every message anybody sends meanwhile."""
    heard: list[str] = []
    watcher = await nats_client.connect(nats.url)

    async def hear(message: Msg) -> None:
        # What a stream delivers to its reader is nothing that anybody sends; it can be acknowledged.
        if not message.reply.startswith("$JS.ACK."):
            heard.append(message.subject)

    await watcher.subscribe(">", cb=hear)
    try:
        # The library's flush sends its ping before what waits to be sent: its answer says nothing of that.
        await watcher.publish("the.beginning")
        await until_heard(heard, "the.beginning")
        heard.remove("the.beginning")
        yield heard
        # What the server had until now arrives before this does.
        await watcher.publish("the.end")
        await until_heard(heard, "the.end")
        heard.remove("the.end")
    finally:
        await watcher.close()


async def until_heard(heard: list[str], subject: str) -> None:
    async def there() -> bool:
        return subject in heard

    await eventually(there)


@pytest.fixture
async def published(logs: Logs, connection: Client) -> None:
    """What happened in every context, all of it in its stream: from now on nobody has anything to publish."""
    await logs.open(*CONTEXTS)
    await logs.happened(*shop_opened(), *lives(0, 30))
    log = LogClient(connection)
    for context in CONTEXTS:
        head = max(await log.heads(context))

        async def there(context: str = context, head: int = head) -> bool:
            return (await stream_contents(connection, context)).position >= head

        await eventually(there)


async def test_a_replay_of_everything_sends_nothing_but_questions(
    nats: Server, mongo: Mongo, connection: Client, published: None
) -> None:
    before = {context: await stream_contents(connection, context) for context in CONTEXTS}
    async with everything_heard(nats) as heard:
        for model in MODELS.values():
            replay = await replayed(connection, mongo, model)
            assert await stored(mongo, replay.collection)
    assert heard
    assert sorted({subject for subject in heard if not HARMLESS.fullmatch(subject)}) == []
    assert {context: await stream_contents(connection, context) for context in CONTEXTS} == before


@pytest.mark.parametrize(
    "subject",
    [
        "cmd.payments.AuthorizePayment",
        "timer.fulfilment.42",
        "due.fulfilment.42",
        "ev.ordering.8.OrderPlaced",
        "svc.ordering.relay",
        "$JS.API.STREAM.DELETE.EV_ordering",
        "$JS.API.STREAM.PURGE.TIMERS_fulfilment",
    ],
)
async def test_what_would_have_an_effect_would_be_noticed(
    nats: Server, connection: Client, subject: str
) -> None:
    async with everything_heard(nats) as heard:
        await connection.publish(subject)
        await until_heard(heard, subject)
    assert not HARMLESS.fullmatch(subject)
