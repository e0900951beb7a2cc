"""The payment timer rings once, after restarts and losses too, and a late ring changes nothing."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nats.aio.client import Client
from nats.js.errors import NotFoundError

from infra.messages.events import Append, Note
from infra.nats.connection import connect
from infra.runtime.timers import Timers
from infra.sagas.timers import SagaTimers
from infra.settings import Settings
from tests.conftest import Server
from tests.contexts.fulfilment.messages import authorized, payment_due, to_reserved
from tests.contexts.fulfilment.process import Stage as Play
from tests.contexts.fulfilment.process import eventually

COMPENSATION = ["payments.VoidPayment", "inventory.ReleaseReservation", "ordering.ApproveCancellation"]


async def test_an_unanswered_payment_times_out(fulfilment: Play) -> None:
    """The alarm clock is JetStream's; what follows is an ordinary step of the saga."""
    async with fulfilment.process(payment_timeout=0.3) as process:
        await process.receives(*to_reserved)
        await eventually(lambda: fulfilment.others.names()[-3:] == COMPENSATION, "the compensation")
        assert (await process.events())[-1].heard == payment_due  # type: ignore[union-attr]
        assert await process.store.notes("timer") == {}


async def test_an_answered_payment_has_no_timer_left(fulfilment: Play) -> None:
    """Neither in the store nor, when it was set, on the clock."""
    async with fulfilment.process() as process:
        await process.receives(*to_reserved)
        assert set(await process.store.notes("timer")) == {"42:payment"}
        await process.receives(authorized)
        assert await process.store.notes("timer") == {}


async def test_a_timer_that_came_due_while_nobody_ran_rings_at_the_start(fulfilment: Play) -> None:
    """The clock was never even set: the store knows."""
    async with fulfilment.process(payment_timeout=0.05) as process:
        await process.receives(*to_reserved)
        await process.settled()
    async with fulfilment.process(payment_timeout=900):
        await eventually(lambda: fulfilment.others.names()[-3:] == COMPENSATION, "the compensation")


async def test_a_ring_of_a_timer_that_is_not_due_changes_nothing(fulfilment: Play, nats: Server) -> None:
    """It was set anew, or cancelled, after it was put on the clock."""
    client = await connect(Settings(nats_url=nats.url), "test")
    async with fulfilment.process() as process:
        await process.receives(*to_reserved)
        await process.settled()
        clock = Timers(client, "fulfilment")
        await eventually(lambda: _made(clock), "a clock")
        # A timer set anew could be replaced by the process, which may be about to set the same one.
        for order in ("42", "unknown"):
            await client.jetstream().publish(f"due.fulfilment.{order}:payment", b"")
        await eventually(lambda: _all_rung(client), "both rings answered")
        assert len(await process.events()) == 2
        assert set(await process.store.notes("timer")) == {"42:payment"}
    await client.close()


async def _made(clock: Timers) -> bool:
    await clock.ensure()
    return True


async def _all_rung(client: Client) -> bool:
    try:
        info = await client.jetstream().consumer_info("TIMERS_fulfilment", "alarm")
    except NotFoundError:
        return False  # the process does not listen yet
    return bool(info.ack_floor.consumer_seq >= 2 and info.num_pending == 0)


async def test_a_ring_that_was_lost_is_found_by_the_sweep(fulfilment: Play, nats: Server) -> None:
    """JetStream may lose messages; the timer in the store is overdue and rings from there."""
    client = await connect(Settings(nats_url=nats.url), "test")
    rung: list[tuple[str, str]] = []

    async def fire(order_id: str, timer: str) -> None:
        rung.append((order_id, timer))

    async with fulfilment.process() as process:
        # No clock listens: as if every ring were lost.
        alarms = SagaTimers(process.store, Timers(client, "elsewhere"), fire, sweep_every=0.02)
        alarms._tasks = []
        overdue = (datetime.now(UTC) - timedelta(seconds=5)).isoformat().encode()
        later = (datetime.now(UTC) + timedelta(hours=1)).isoformat().encode()
        await process.store.append(
            Append(notes=(Note("timer", "1:payment", overdue), Note("timer", "2:payment", later)))
        )
        await alarms.start()
        await eventually(lambda: len(rung) >= 2, "two sweeps")
        await alarms.stop()
    assert set(rung) == {("1", "payment")}
    await client.close()
