"""Replays spare production: one after the other, in small steps under traffic, behind the live models."""

from __future__ import annotations

import asyncio
import json

import pytest
from nats.aio.client import Client

from infra.event_log.client import LogClient
from infra.mongo import Mongo
from read_models.orders import ORDERS
from read_models.replay import observed_lag
from read_models.replay.observed_lag import ObservedLag
from read_models.replay.start import begin
from read_models.replay.state import State, replay_of
from read_models.replay.throttle import (
    BATCH,
    COMMAND,
    LEAST_BATCH,
    AdaptiveBatchSize,
    Backpressure,
    ConcurrencyLimit,
)
from read_models.replay.worker import Worker
from read_models.stock import STOCK
from tests.read_models.logs import Logs, caught_up, eventually, stored
from tests.read_models.replay.replaying import lives, projectors, shop_opened
from tests.read_models.replay.terminal import SLOWLY, Operator, ended


def test_turns_come_in_the_order_in_which_they_were_asked_for() -> None:
    turns = ConcurrencyLimit(2)
    assert [turns.ask(name) for name in "abcd"] == [True, True, False, False]
    turns.leave("a")
    assert [turns.ask(name) for name in "dcb"] == [False, True, True]
    turns.leave("c")
    turns.leave("d")
    assert turns.ask("e")


def test_a_replay_gives_way_until_live_models_have_caught_up() -> None:
    seconds = iter((1.9, 2.1, 1.5, 0.9, 1.5, 60.0))
    giving_way = Backpressure(lambda: next(seconds))
    assert [giving_way.now(above=2.0) for _ in range(5)] == [False, True, True, False, False]
    assert not giving_way.now(above=None)


def test_transactions_are_small_under_traffic_and_large_without() -> None:
    busy = True
    batch_size = AdaptiveBatchSize(lambda: busy)
    assert batch_size.events == LEAST_BATCH
    for _ in range(10):
        batch_size.took(batch_size.events, batch_size.events / 4_000)
    assert batch_size.events == 2_000
    batch_size.took(2_000, 5.0)
    assert batch_size.events == LEAST_BATCH
    parts = list(batch_size.commands(range(COMMAND)))
    assert [item for part in parts for item in part] == list(range(COMMAND))
    assert len(parts[0]) < COMMAND
    busy = False
    assert batch_size.events == BATCH
    assert list(batch_size.commands(range(COMMAND))) == [range(COMMAND)]


async def test_what_a_live_version_lacks_has_been_waiting_since_it_was_seen(
    mongo: Mongo, connection: Client, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    for within in ("BUSY_SECONDS", "STALLED_SECONDS"):
        monkeypatch.setattr(observed_lag, within, 3_600.0)
    await logs.happened(*shop_opened())
    seen = ObservedLag(mongo, LogClient(connection), [STOCK])
    await seen.look()
    await seen.look()
    # Nobody has ever begun to project it.
    assert (seen.seconds, seen.busy) == (0.0, False)
    async with projectors(connection, mongo, STOCK):
        await caught_up(mongo, logs, STOCK)
    await seen.look()
    assert seen.seconds == 0.0
    await logs.happened(*shop_opened())

    async def late() -> bool:
        await seen.look()
        return seen.seconds > 0.1

    await eventually(late)
    assert seen.busy
    monkeypatch.setattr(observed_lag, "STALLED_SECONDS", 0.05)

    async def given_up() -> bool:
        await seen.look()
        return seen.seconds == 0.0

    await eventually(given_up)


async def test_a_replay_waits_while_the_live_version_is_late(
    mongo: Mongo, connection: Client, logs: Logs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(observed_lag, "STALLED_SECONDS", 3_600.0)
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 30))
    async with projectors(connection, mongo, ORDERS):
        await caught_up(mongo, logs, ORDERS)
    live = ObservedLag(mongo, LogClient(connection), [ORDERS])
    watching = asyncio.create_task(live.watch())
    await logs.happened(*lives(30, 30))

    async def late() -> bool:
        return live.seconds > 0.2

    await eventually(late)
    await begin(mongo, [ORDERS], limit=None, switch=False, yield_above=0.2)
    worker = Worker(mongo, LogClient(connection), ORDERS, live=live)
    replaying = asyncio.create_task(worker.run(asyncio.Event()))

    async def yields() -> bool:
        return (await replay_of(mongo, "orders")).yielding

    await eventually(yields)
    assert (await replay_of(mongo, "orders")).live_lag > 0.2
    assert await stored(mongo, "orders@2") == {}
    async with projectors(connection, mongo, ORDERS):
        replay = await replaying
        await caught_up(mongo, logs, ORDERS, "orders@2")
    watching.cancel()
    assert (replay.state, replay.yielding) == (State.READY, False)
    assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)


async def test_models_are_replayed_one_after_the_other_also_after_a_kill(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts, *STOCK.contexts, "customers", "catalog", "fulfilment")
    await logs.happened(*shop_opened(), *lives(0, 300))
    worker = operator.begins("start", "--all", "--rate", SLOWLY)
    running = await operator.sees(State.RUNNING, done=20)
    waiting = await operator.sees(State.WAITING, "shipments")
    assert (running.attended, waiting.attended, waiting.done) == (True, True, 0)
    assert "waiting" in await operator.says("status", "shipments")
    assert "is paused" in await operator.says("pause", "shipments")
    assert "is cancelled" in await operator.says("cancel", "customers")
    worker.kill()
    assert "nobody works on it" in await operator.says("status", "stock")
    assert "nothing to resume" in await operator.is_told("resume", "customers")
    again = operator.begins("resume", "--all", "--rate", "100000", "--at-once", "3")
    for model in ("orders", "products", "stock", "shipments", "sales", "fulfilments"):
        await operator.sees(State.READY, model)
    await eventually(lambda: ended(again))
    found = {item["model"]: item for item in json.loads(await operator.says("status", "--json"))}
    assert found["customers"]["replay"]["state"] == "cancelled"
    assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)
    assert await stored(mongo, "customers@2") == {}


async def test_a_detached_replay_of_several_models_goes_through_them(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts, *STOCK.contexts)
    await logs.happened(*shop_opened(), *lives(0, 300))
    await operator.says("start", "orders", "stock", "--detach", "--rate", SLOWLY)
    await operator.sees(State.RUNNING)
    assert (await operator.sees(State.WAITING, "stock")).attended
    await operator.says("pause", "orders")
    # A paused one lets the next one work.
    await operator.sees(State.READY, "stock")
    await operator.says("rate", "orders", "0")
    await operator.says("resume", "orders")
    await operator.sees(State.READY)
    assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)
