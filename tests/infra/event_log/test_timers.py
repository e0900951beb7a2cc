"""Timers ring when they are due, whatever was restarted meanwhile."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from nats.aio.client import Client

from infra.nats.connection import NatsUnavailable
from infra.nats.jetstream import ask, stream_info
from infra.runtime.timers import Timers
from tests.conftest import Server
from tests.infra.event_log.ordering_log import eventually, running, wipe
from tests.support.deadlines import HOLDS_SECONDS


class Rings:
    """What has rung, and when."""

    def __init__(self) -> None:
        self.rung: list[tuple[str, bytes]] = []
        self.times: list[datetime] = []

    async def __call__(self, timer_id: str, payload: bytes) -> None:
        self.rung.append((timer_id, payload))
        self.times.append(datetime.now(UTC))

    async def come_to(self, count: int) -> None:
        """Return when so many have rung."""

        async def enough() -> bool:
            return len(self.rung) >= count

        await eventually(enough)


LONG = 3_600.0


def soon(seconds: float = 0.3) -> datetime:
    return datetime.now(UTC) + timedelta(seconds=seconds)


async def scheduled(connection: Client) -> dict[str, int]:
    """The timers that are still to ring."""
    info = await ask(
        connection, "STREAM.INFO.TIMERS_fulfilment", dict[str, Any], {"subjects_filter": "timer.>"}
    )
    return dict(info["state"].get("subjects") or {})


@pytest.fixture
async def timers(connection: Client) -> Timers:
    """The alarm clock of fulfilment."""
    timers = Timers(connection, "fulfilment")
    await timers.ensure()
    return timers


async def test_a_timer_rings_when_it_is_due_with_what_it_was_given(timers: Timers) -> None:
    rings = Rings()
    due = soon()
    async with running(timers.listen(rings)):
        await timers.set("order-42:payment", due, b'{"a":1}')
        await rings.come_to(1)
    assert rings.rung == [("order-42:payment", b'{"a":1}')]
    assert rings.times[0] - due > timedelta(milliseconds=-5)


async def test_a_timer_of_the_past_rings_at_once(timers: Timers) -> None:
    rings = Rings()
    async with running(timers.listen(rings)):
        await timers.set("order-42", soon(-3600), b"")
        await rings.come_to(1)


async def test_a_timer_set_again_replaces_the_first(connection: Client, timers: Timers) -> None:
    rings = Rings()
    async with running(timers.listen(rings)):
        await timers.set("order-42", soon(LONG), b"first")
        await timers.set("order-42", soon(), b"second")
        await rings.come_to(1)
    assert rings.rung == [("order-42", b"second")]
    assert not await scheduled(connection)


async def test_a_cancelled_timer_does_not_ring(connection: Client, timers: Timers) -> None:
    rings = Rings()
    async with running(timers.listen(rings)):
        await timers.set("order-42", soon(LONG), b"")
        await timers.set("last", soon(), b"")
        await timers.cancel("order-42")
        await timers.cancel("never-set")
        await rings.come_to(1)
    assert rings.rung == [("last", b"")]
    assert not await scheduled(connection)


async def test_timers_survive_a_killed_server_and_ring_for_who_listens_later(
    nats: Server, connection: Client, timers: Timers
) -> None:
    for number in range(10):
        await timers.set(f"order-{number}", soon(0.2), b"")
    nats.process.kill()
    nats.process.start()
    rings = Rings()
    async with running(timers.listen(rings)):
        await rings.come_to(10)
    assert sorted(timer_id for timer_id, _ in rings.rung) == [f"order-{number}" for number in range(10)]


async def test_a_ring_that_fails_comes_again_and_holds_up_no_other(timers: Timers) -> None:
    rings = Rings()
    tries: list[str] = []

    async def fragile(timer_id: str, payload: bytes) -> None:
        tries.append(timer_id)
        if timer_id == "order-1" and not rings.rung:
            raise RuntimeError("not now")
        await rings(timer_id, payload)

    async with running(timers.listen(fragile)):
        await timers.set("order-1", soon(-1), b"")
        await timers.set("order-2", soon(-1), b"")
        await rings.come_to(2)
    assert [timer_id for timer_id, _ in rings.rung] == ["order-2", "order-1"]
    assert tries.count("order-1") > 1


async def test_a_lost_clock_is_made_again_and_its_timers_set_again(
    nats: Server, nats_folder: Path, connection: Client, timers: Timers
) -> None:
    rings = Rings()
    restored: list[int] = []

    async def restore() -> None:
        restored.append(1)
        await timers.set("order-42", soon(0.1), b"again")

    async with running(timers.listen(rings, restore)):
        await rings.come_to(1)
        wipe(nats, nats_folder)
        await rings.come_to(2)
    assert rings.rung == [("order-42", b"again")] * 2
    assert len(restored) == 2


async def test_what_has_rung_does_not_ring_for_the_next_listener(timers: Timers) -> None:
    rings = Rings()
    async with running(timers.listen(rings)):
        await timers.set("order-1", soon(-1), b"")
        await rings.come_to(1)
    async with running(timers.listen(rings)):
        await timers.set("order-2", soon(-1), b"")
        await rings.come_to(2)
    assert [timer_id for timer_id, _ in rings.rung] == ["order-1", "order-2"]


async def test_a_rung_timer_leaves_no_schedule_behind(connection: Client, timers: Timers) -> None:
    rings = Rings()
    async with running(timers.listen(rings)):
        await timers.set("order-1", soon(-1), b"")
        await rings.come_to(1)
    assert not await scheduled(connection)


@pytest.mark.parametrize("timer_id", ["", "a b", "a.b", "*", ">", "ä", "x" * 201])
async def test_an_id_that_is_no_subject_is_refused(timers: Timers, timer_id: str) -> None:
    with pytest.raises(ValueError, match="no timer's id"):
        await timers.set(timer_id, soon(), b"")


async def test_without_a_server_setting_a_timer_fails(nats: Server, timers: Timers) -> None:
    nats.process.kill()
    with pytest.raises(NatsUnavailable):
        await asyncio.wait_for(timers.set("order-1", soon(), b""), HOLDS_SECONDS)


@pytest.mark.parametrize("change", [{"subjects": ["due.fulfilment.>"]}, {"max_msgs": 1}])
async def test_a_clock_of_another_form_is_made_anew_and_its_timers_are_set_again(
    connection: Client, change: dict[str, object]
) -> None:
    """It might not take timers, or forget them."""
    by_hand = {"name": "TIMERS_fulfilment", "subjects": ["timer.fulfilment.>", "due.fulfilment.>"], **change}
    await ask(connection, "STREAM.CREATE.TIMERS_fulfilment", dict, by_hand)
    timers, rings = Timers(connection, "fulfilment"), Rings()

    async def restore() -> None:
        for number in range(3):
            await timers.set(f"order-{number}:payment", soon(), b"")

    async with running(timers.listen(rings, restore)):
        await rings.come_to(3)


async def test_a_clock_changed_by_hand_while_it_runs_is_made_anew(connection: Client) -> None:
    timers, rings = Timers(connection, "fulfilment", look_seconds=0.05), Rings()
    restored = 0

    async def restore() -> None:
        nonlocal restored
        restored += 1

    async def again() -> bool:
        return restored > 1

    async with running(timers.listen(rings, restore)):
        await timers.ensure()
        info = await stream_info(connection, "TIMERS_fulfilment")
        assert info is not None
        await ask(connection, "STREAM.UPDATE.TIMERS_fulfilment", dict, {**info.config, "max_msgs": 1})
        await eventually(again)
        await timers.set("order-42:payment", soon(), b"")
        await rings.come_to(1)
