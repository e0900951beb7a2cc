"""Commands are sent in order, again after trouble, and under the same ids for ever."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest

from contexts.fulfilment.commands import PaymentSettlement, RetryFulfilment
from contexts.fulfilment.events import CommandFailed, Stage
from contexts.fulfilment.service import process_manager
from infra.messages.commands import RefusalKind, Refused
from infra.messages.events import Append, Note
from infra.runtime.dead_letters.store import DeadLetter
from infra.sagas.dispatcher import Dispatcher
from infra.sagas.outbox_sweeper import OutboxSweeper
from infra.sagas.retry_policy import RetryPolicy
from tests.contexts.fulfilment.messages import (
    ORDER,
    authorized,
    cancelled,
    captured,
    confirmed,
    delivered,
    dispatched,
    left_stock,
    mark,
    marked,
    placed,
    reserved,
    to_authorized,
    to_confirmed,
    to_dispatched,
    to_reserved,
)
from tests.contexts.fulfilment.operators import abandon, settle
from tests.contexts.fulfilment.process import ACCEPTED, POLICY, Process, eventually, for_order
from tests.contexts.fulfilment.process import Stage as Play

BUSY = Refused(RefusalKind.BUSY, "busy")
REJECTED = Refused(RefusalKind.REJECTED, "against a rule")
retry = RetryFulfilment(order_id=ORDER)
AUTHORIZE_ID = "fulfilment-42:payments.AuthorizePayment"


async def test_commands_carry_their_step_and_their_cause(fulfilment: Play) -> None:
    """The id says what it is about, so that a saga that lost its store sends it under the same."""
    async with fulfilment.process() as process:
        for fact in to_reserved:
            await process.receives(fact)
            await process.settled()
        assert fulfilment.others.received[0][:2] == (
            "inventory.ReserveStock",
            "fulfilment-42:inventory.ReserveStock",
        )
        assert fulfilment.others.received[1][:2] == (
            "payments.AuthorizePayment",
            "fulfilment-42:payments.AuthorizePayment",
        )
        first, second = await process.store.load("fulfilment-42")
        assert first.metadata.causation_id == "ordering-42@1"
        assert second.metadata.causation_id == "inventory-42@1"
        assert second.metadata.correlation_id == "shop-1"


async def test_a_batch_of_facts_is_one_transaction(fulfilment: Play) -> None:
    """Many orders go together, with their commands."""
    async with fulfilment.process() as process:
        await process.receives(*[for_order(f"o{n}", placed) for n in range(50)])
        assert process.store.commit_sizes.commits == 1
        assert len(await process.store.read_log(0, 100)) == 50
        await process.settled()
        assert len(fulfilment.others.ids("inventory.ReserveStock")) == 50


async def test_commands_of_an_order_wait_for_each_other(fulfilment: Play) -> None:
    """The shipment is not created before the order is confirmed, however long that takes."""
    others = fulfilment.others
    others.answer("ordering.ConfirmOrder", BUSY, BUSY, ACCEPTED)
    async with fulfilment.process() as process:
        await process.receives(*to_authorized)
        await process.settled()
    assert others.names()[-4:] == [
        "ordering.ConfirmOrder",
        "ordering.ConfirmOrder",
        "ordering.ConfirmOrder",
        "shipping.CreateShipment",
    ]


async def test_an_order_does_not_wait_for_another(fulfilment: Play) -> None:
    """One order's payment is not answered; the other's is asked for meanwhile."""
    others = fulfilment.others
    others.answer("payments.AuthorizePayment", None, ACCEPTED)
    async with fulfilment.process() as process:
        await process.receives(*to_reserved)
        await eventually(lambda: "payments.AuthorizePayment" in others.names(), "a payment asked for")
        await process.receives(*[for_order("43", fact) for fact in to_reserved])
        await eventually(
            lambda: "fulfilment-43:payments.AuthorizePayment" in others.ids("payments.AuthorizePayment"),
            "another",
        )
        assert AUTHORIZE_ID in await process.store.notes("outbox")


async def test_what_may_yet_be_carried_out_is_sent_again_under_its_id(fulfilment: Play) -> None:
    """A context that is busy, late or not there refuses nothing for good."""
    others = fulfilment.others
    unavailable = Refused(RefusalKind.UNAVAILABLE, "the provider does not answer")
    others.answer("payments.AuthorizePayment", BUSY, unavailable, ACCEPTED)
    async with fulfilment.process() as process:
        await process.receives(*to_reserved)
        await process.settled()
        assert others.ids("payments.AuthorizePayment") == [AUTHORIZE_ID] * 3
        assert (await process.saga()).failures == ()


async def test_an_order_is_stuck_when_all_tries_are_used_up(fulfilment: Play) -> None:
    """The reason is the last answer; the command is kept for an operator."""
    others = fulfilment.others
    others.answer("payments.AuthorizePayment", BUSY)
    async with fulfilment.process() as process:
        await process.receives(*to_reserved)
        await process.settled()
        assert len(others.ids("payments.AuthorizePayment")) == POLICY.tries
        assert (await process.events())[-1] == CommandFailed(
            order_id=ORDER,
            command_id=AUTHORIZE_ID,
            command="payments.AuthorizePayment",
            reason="busy",
        )
        assert set(await process.store.notes("failed")) == {AUTHORIZE_ID}


async def test_a_failed_command_does_not_hold_up_what_does_not_need_it(fulfilment: Play) -> None:
    """The capture failed: the stock leaves and the order is marked; an operator sees the capture."""
    others = fulfilment.others
    others.answer("payments.CapturePayment", REJECTED)
    async with fulfilment.process() as process:
        await process.receives(*to_dispatched)
        await process.settled()
        sent = list(dict.fromkeys(others.names()))
        assert sent[-3:] == [
            "ordering.MarkDispatched",
            "inventory.ShipReservation",
            "payments.CapturePayment",
        ]
        assert [it.command for it in (await process.saga()).failures] == ["payments.CapturePayment"]


async def test_what_needs_a_failed_command_is_not_sent(fulfilment: Play) -> None:
    """An order that could not be marked dispatched cannot be completed; a retry sends both, in order."""
    others = fulfilment.others
    others.answer("ordering.MarkDispatched", REJECTED)
    async with fulfilment.process() as process:
        await process.receives(*to_dispatched, captured, delivered)
        await process.settled()
        assert "ordering.CompleteOrder" not in others.names()
        assert len((await process.saga()).failures) == 2
        others.answer("ordering.MarkDispatched", ACCEPTED)
        await process.is_told(retry)
        await process.settled()
        assert others.names()[-2:] == ["ordering.MarkDispatched", "ordering.CompleteOrder"]
        assert set(others.ids("ordering.MarkDispatched")) == {"fulfilment-42:ordering.MarkDispatched"}
        assert (await process.saga()).failures == ()
        assert await process.store.notes("failed") == {}


async def test_a_refusal_that_a_fact_explains_is_no_failure(fulfilment: Play) -> None:
    """The customer cancelled while the saga was confirming; the cancellation is heard after the refusal."""
    others = fulfilment.others
    others.answer("ordering.ConfirmOrder", REJECTED)
    async with fulfilment.process(policy=POLICY) as process:
        await process.receives(*to_authorized)
        await eventually(lambda: "ordering.ConfirmOrder" in others.names(), "a confirmation")
        await process.receives(cancelled)
        await process.settled()
        assert (await process.saga()).failures == ()
        assert "shipping.CreateShipment" not in others.names()
        assert others.names()[-1] == "shipping.CancelShipment"


async def test_a_compensation_does_not_wait_for_what_it_undoes(fulfilment: Play) -> None:
    """The provider is down: with the customer's cancellation the payment need not be asked for any more."""
    others = fulfilment.others
    others.answer("payments.AuthorizePayment", BUSY)
    slow = RetryPolicy(first_pause=3_600.0, longest_pause=3_600.0)
    async with fulfilment.process(policy=slow) as process:
        await process.receives(*to_reserved)
        await eventually(lambda: "payments.AuthorizePayment" in others.names(), "a payment asked for")
        await process.receives(cancelled)
        await process.settled()
        assert others.names()[-2:] == ["payments.VoidPayment", "inventory.ReleaseReservation"]


async def test_a_failure_recovers_when_its_effect_is_heard_after_all(fulfilment: Play) -> None:
    """Nothing is left for the operator to retry."""
    others = fulfilment.others
    others.answer("ordering.MarkDispatched", BUSY)
    async with fulfilment.process() as process:
        await process.receives(*to_dispatched)
        await process.settled()
        await process.receives(marked)
        assert await process.store.notes("failed") == {}
        assert (await process.saga()).failures == ()


async def test_an_accepted_command_waits_for_its_fact(fulfilment: Play) -> None:
    """It stays in the outbox until the saga has heard what the context recorded."""
    async with fulfilment.process() as process:
        await process.receives(placed)
        await process.settled()
        assert set(await process.store.notes("outbox")) == {"fulfilment-42:inventory.ReserveStock"}
        await process.receives(reserved)
        process.received_to = ACCEPTED.position
        await eventually(lambda: _empty(process), "an empty outbox")
        assert (await process.saga()).failures == ()
        assert fulfilment.others.ids("inventory.ReserveStock") == ["fulfilment-42:inventory.ReserveStock"]


async def test_an_accepted_command_that_no_fact_follows_makes_the_order_stuck(fulfilment: Play) -> None:
    """Everything up to the answer was heard: the fact the saga waits for will not come."""
    async with fulfilment.process() as process:
        await process.receives(placed)
        process.received_to = ACCEPTED.position
        await eventually(lambda: _stuck(process), "a stuck order")
        (failure,) = (await process.saga()).failures
        assert failure.command == "inventory.ReserveStock"
        failed = (await process.events())[-1]
        assert isinstance(failed, CommandFailed)
        assert failed.reason == "inventory accepted it, but no event shows that it was done"


async def test_nothing_is_sent_before_everything_that_happened_was_heard(fulfilment: Play) -> None:
    """A saga that lost its store would ask for what was done long ago; what a fact shows is not sent."""
    async with fulfilment.process(caught_up=False, payment_timeout=0.05) as process:
        await process.receives(*to_reserved)
        await process.receives(authorized)
        assert fulfilment.others.received == []
        process.caught_up.set()
        await process.settled()
        assert fulfilment.others.names() == ["ordering.ConfirmOrder", "shipping.CreateShipment"]


async def test_an_order_is_stuck_while_a_fact_of_it_is_a_dead_letter(fulfilment: Play) -> None:
    """Nothing can be retried for it; once it is retried or skipped the order goes on."""
    letter = DeadLetter("shipping", "shipment-42", 17, "shipping.ShipmentDispatched", "{}", "no carrier")
    async with fulfilment.process() as process:
        await process.receives(*to_confirmed)
        await process.is_told_of(letter, "parked")
        assert [it.failure_id for it in (await process.saga()).failures] == ["shipping:17"]
        await process.is_told_of(letter, "retried")
        assert (await process.saga()).failures == ()


async def test_an_abandoned_order_is_settled_by_the_saga(fulfilment: Play) -> None:
    """Its commands go through the outbox like all others."""
    others = fulfilment.others
    others.answer("payments.CapturePayment", REJECTED)
    async with fulfilment.process() as process:
        await process.receives(*to_dispatched, left_stock)
        await process.settled()
        await process.is_told(abandon)
        await process.settled()
        assert others.names()[-2:] == ["ordering.AbandonOrder", "shipping.AbandonShipment"]
        assert others.ids("ordering.AbandonOrder") == ["fulfilment-42:ordering.AbandonOrder:8"]
        others.answer("payments.CapturePayment", ACCEPTED)
        await process.is_told(settle(payment=PaymentSettlement.CAPTURE))
        await process.settled()
        assert others.names()[-1] == "payments.CapturePayment"
        await process.receives(captured)
        assert (await process.saga()).stage is Stage.SETTLED
        assert await process.store.notes("failed") == {}


async def _empty(process: Process) -> bool:
    return await process.store.notes("outbox") == {}


async def _stuck(process: Process) -> bool:
    return bool((await process.saga()).failures)


async def test_nothing_is_sent_for_an_abandoned_order(fulfilment: Play) -> None:
    """Neither what waits nor what is heard afterwards."""
    others = fulfilment.others
    others.answer("ordering.ConfirmOrder", BUSY)
    async with fulfilment.process() as process:
        await process.receives(*to_authorized)
        await eventually(lambda: _stuck(process), "a stuck order")
        await process.is_told(abandon)
        await process.receives(confirmed, dispatched)
        await process.settled()
        assert others.names()[-2:] == ["ordering.AbandonOrder", "shipping.AbandonShipment"]
        assert "shipping.CreateShipment" not in others.names()
        assert (await process.saga()).stage is Stage.ABANDONED


async def test_unsettled_commands_are_sent_again_after_a_restart(fulfilment: Play) -> None:
    """Byte for byte the same, with the same id."""
    others = fulfilment.others
    others.answer("inventory.ReserveStock", None)
    async with fulfilment.process() as process:
        await process.receives(placed)
        await eventually(lambda: others.names() == ["inventory.ReserveStock"], "a first try")
    others.answer("inventory.ReserveStock", ACCEPTED)
    async with fulfilment.process() as process:
        await process.settled()
    first, second = others.received
    assert first == second


async def test_a_restart_sends_what_is_unsettled_and_nothing_else(fulfilment: Play) -> None:
    """Killed after any of its commands, the next process goes on from there, in order."""
    others = fulfilment.others
    path = {
        "ordering.MarkDispatched": marked,
        "inventory.ShipReservation": left_stock,
        "payments.CapturePayment": captured,
    }
    for number, name in enumerate(path):
        order = [for_order(f"k{number}", fact) for fact in to_dispatched]
        others.answer(name, None)
        async with fulfilment.process() as process:
            await process.receives(*order)
            step = f"fulfilment-k{number}:{name}"
            await eventually(lambda name=name, step=step: step in others.ids(name), f"{name} sent")
            # What was accepted before is shown by its fact; orders of earlier rounds are done.
            done = [(number, fact) for fact in list(path.values())[:number]]
            done += [(earlier, fact) for earlier in range(number) for fact in path.values()]
            await process.receives(*(for_order(f"k{which}", fact) for which, fact in done))
        others.answer(name, ACCEPTED)
        seen = len(others.received)
        async with fulfilment.process() as process:
            await process.settled()
        assert others.names()[seen:] == list(path)[number:]


async def test_a_command_whose_effect_was_heard_before_the_restart_is_not_sent(fulfilment: Play) -> None:
    """Its answer was lost, but what it did is known."""
    others = fulfilment.others
    others.answer("inventory.ReserveStock", None)
    async with fulfilment.process() as process:
        await process.receives(placed)
        await eventually(lambda: others.names() == ["inventory.ReserveStock"], "a first try")
        await process.receives(reserved)
    async with fulfilment.process() as process:
        await process.settled()
    assert others.names() == ["inventory.ReserveStock", "payments.AuthorizePayment"]


@pytest.mark.parametrize(
    ("command_id", "given"),
    [
        ("fulfilment-42:9:1", b""),
        ("fulfilment-42:ordering.MarkDispatched", b'"given_id":"fulfilment-42:ordering.MarkDispatched",'),
    ],
)
async def test_a_command_left_by_an_uncertain_commit_is_found(
    fulfilment: Play, command_id: str, given: bytes
) -> None:
    """The step was committed although its process was told otherwise: its command lies in the outbox.

    The notes are as earlier versions wrote them: an upgrade finds such ones.
    """
    async with fulfilment.process() as process:
        await process.receives(*to_confirmed)
        await process.settled()
        left = (
            b'{"order_id":"42","version":9,"number":1,"name":"ordering.MarkDispatched","body":'
            + msgspec.json.encode(mark)
            + b',"correlation_id":"c","causation_id":"x","traceparent":"",'
            + given
            + b'"return_id":null}'
        )
        await process.store.append(Append(notes=(Note("outbox", command_id, left),)))
        dispatcher = Dispatcher(process_manager(timedelta(seconds=900)), process._running, POLICY)
        watch = OutboxSweeper(process.store, dispatcher, look_every=0.02)
        await dispatcher.start()
        await watch.start()
        await process.settled()
        await watch.stop()
        await dispatcher.stop()
    assert fulfilment.others.ids("ordering.MarkDispatched") == [command_id]


async def test_facts_are_not_heard_faster_than_commands_are_sent(fulfilment: Play) -> None:
    """Memory stays flat while another context is down: the facts wait where they are."""
    others = fulfilment.others
    others.answer("inventory.ReserveStock", BUSY)
    narrow = RetryPolicy(waiting=3, first_pause=0.02, longest_pause=0.02, tries=1_000)
    async with fulfilment.process(policy=narrow) as process:
        await process.receives(*[for_order(f"o{n}", placed) for n in range(3)])
        hearing = asyncio.create_task(process.receives(for_order("late", placed)))
        await eventually(lambda: len(others.received) > 20, "many tries")
        assert not hearing.done()
        others.answer("inventory.ReserveStock", ACCEPTED)
        await hearing
        await process.settled()
    assert "fulfilment-late:inventory.ReserveStock" in others.ids("inventory.ReserveStock")
