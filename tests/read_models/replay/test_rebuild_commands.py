"""`orderfold replay`: replays survive being killed, and do what they are told meanwhile."""

from __future__ import annotations

import json

import pytest
from nats.aio.client import Client

from infra.mongo import Mongo, updating
from read_models.orders import ORDERS
from read_models.projection.versions import versions_of
from read_models.registry import MODELS
from read_models.replay.state import Replay, State, find_replay
from read_models.stock import STOCK
from tests.read_models.logs import Logs, caught_up, eventually, stored
from tests.read_models.replay.replaying import lives, projectors, shop_opened
from tests.read_models.replay.terminal import SLOWLY, Operator, ended


async def test_a_killed_replay_goes_on_where_it_was(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 300))
    worker = operator.begins("start", "orders", "--rate", SLOWLY)
    await operator.sees(State.RUNNING, done=20)
    worker.kill()
    killed_at = await operator.sees(State.RUNNING)
    assert killed_at.done < killed_at.total
    resumed = operator.begins("resume", "orders", "--rate", "100000")
    ready = await operator.sees(State.READY)
    assert ready.done == ready.total == 1300
    async with projectors(connection, mongo, ORDERS):
        await caught_up(mongo, logs, ORDERS, "orders@2")
    assert await stored(mongo, "orders@2") == await logs.expected(ORDERS)
    await eventually(lambda: ended(resumed))


async def test_a_replay_is_paused_hurried_resumed_and_cancelled(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts)
    await logs.happened(*lives(0, 300))
    worker = operator.begins("start", "orders", "--rate", SLOWLY)
    await operator.sees(State.RUNNING, done=20)
    assert "is paused" in await operator.says("pause", "orders")
    paused = await _stands_still(mongo)
    assert 0 < paused.done < paused.total
    assert "cannot be paused" in await operator.is_told("pause", "orders")
    await operator.says("rate", "orders", "20")
    assert "being built" in await operator.says("resume", "orders")
    further = await operator.sees(State.RUNNING, done=paused.done + 20)
    assert further.limit == 20
    assert "is cancelled" in await operator.says("cancel", "orders")
    await eventually(lambda: ended(worker))
    assert await stored(mongo, "orders@2") == {}
    assert "nothing to resume" in await operator.is_told("resume", "orders")


async def _stands_still(mongo: Mongo) -> Replay:
    """The paused replay, once its worker has told twice the same."""
    before: list[Replay] = []

    async def still() -> bool:
        replay = await find_replay(mongo, "orders")
        assert replay is not None
        if before and before[-1].heartbeat == replay.heartbeat:
            return False
        same = bool(before) and before[-1].done == replay.done and replay.state is State.PAUSED
        before.append(replay)
        return same

    await eventually(still)
    return before[-1]


async def test_a_detached_replay_goes_on_without_its_terminal(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts, *STOCK.contexts)
    await logs.happened(*shop_opened(), *lives(0, 20))
    told = await operator.says("start", "orders", "stock", "--detach", "--rate", "2000")
    assert "orders@2" in told
    await operator.sees(State.READY)
    await operator.sees(State.READY, "stock")
    assert await stored(mongo, "stock@2") == await logs.expected(STOCK)
    found = {item["model"]: item for item in json.loads(await operator.says("status", "--json"))}
    assert [item["collection"] for item in found["orders"]["versions"]] == ["orders", "orders@2"]
    assert found["orders"]["replay"]["state"] == "ready"
    assert found["orders"]["versions"][1]["behind"] == 0
    table = await operator.says("status", "orders", "stock")
    assert "orders@2" in table
    assert "stock@2" in table


async def test_all_models_are_replayed_and_switched_when_nothing_differs(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*(context for model in MODELS.values() for context in model.contexts))
    await logs.happened(*shop_opened(), *lives(0, 20))
    async with projectors(connection, mongo, *MODELS.values()):
        told = await operator.says("start", "--all", "--switch")
        for name in MODELS:
            assert f"queries of {name} read {name}@2 now" in told
        assert {(await versions_of(mongo, name)).live for name in MODELS} == {f"{name}@2" for name in MODELS}


async def test_what_differs_is_not_switched_to_by_itself(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*STOCK.contexts)
    await logs.happened(*shop_opened())
    async with projectors(connection, mongo, STOCK):
        await caught_up(mongo, logs, STOCK)
        await mongo.write("stock", [updating({"_id": "MUG"}, {"on_hand": 99})])
        line = await operator.is_told("start", "stock", "--switch")
        assert "stock@2 is ready, but 1 documents differ from stock" in line
        assert (await versions_of(mongo, "stock")).live == "stock"


async def test_two_replays_of_one_model_are_refused(
    mongo: Mongo, connection: Client, logs: Logs, operator: Operator
) -> None:
    await logs.open(*ORDERS.contexts, *STOCK.contexts)
    await logs.happened(*lives(0, 300))
    worker = operator.begins("start", "orders", "--rate", SLOWLY)
    await operator.sees(State.RUNNING, done=10)
    assert "orders is being replayed into orders@2 already" in await operator.is_told("start", "orders")
    assert "orders is being replayed" in await operator.is_told("start", "stock", "orders")
    assert await find_replay(mongo, "stock") is None
    assert "orders@2 is not ready" in await operator.is_told("switch", "orders")
    worker.kill()
    assert "stopped half-way; `replay resume orders`" in await operator.is_told("start", "orders")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["start", "orderz"], "unknown read model 'orderz'; choose one of orders, products"),
        (["start"], "name read models"),
        (["start", "orders", "--all"], "name read models"),
        (["start", "orders", "--rate", "0"], "Invalid value"),
        (["start", "orders", "--from", "jetstream"], "No such option"),
        (["pause", "orders"], "orders was never replayed"),
        (["resume", "orders"], "orders was never replayed"),
        (["rollback", "orders"], "no version of orders to go back to"),
        (["drop", "orders"], "orders is the only version"),
    ],
)
async def test_nonsense_is_told_in_one_line(operator: Operator, arguments: list[str], told: str) -> None:
    assert told in await operator.is_told(*arguments)
