"""What an operator may do with an order that is stuck: retry it, or abandon it and settle or resume it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec.structs import replace

from contexts.fulfilment.commands import (
    AbandonFulfilment,
    FulfilmentCommand,
    PaymentSettlement,
    ResumeFulfilment,
    RetryFulfilment,
    SettleFulfilment,
    StockSettlement,
)
from contexts.fulfilment.events import (
    FulfilmentAbandoned,
    FulfilmentResumed,
    FulfilmentRetried,
    FulfilmentSettled,
    Stage,
    Timer,
    decision,
)
from contexts.fulfilment.process import (
    MONEY_CAPTURED,
    MONEY_HELD,
    MONEY_UNANSWERED,
    STOCK_RESERVED,
    open_steps,
    outstanding,
    restock,
    shipment_possible,
    stage_of,
    timers_of,
)
from contexts.fulfilment.state import Saga, ask
from contexts.fulfilment.steps import CAPTURED, MISMATCHED, Step, identity, settled
from contexts.inventory.commands import ReleaseReservation, ShipReservation
from contexts.inventory.events import ReservationShipped
from contexts.messages import Rejected, Unknown
from contexts.ordering.commands import AbandonOrder, AcceptReturn, ApproveCancellation, ResumeOrder
from contexts.payments.commands import CapturePayment, RefundPayment, VoidPayment
from contexts.shipping.commands import AbandonShipment, CancelShipment, ResumeShipment

OperatorEvent = FulfilmentRetried | FulfilmentAbandoned | FulfilmentSettled | FulfilmentResumed


def decide(
    saga: Saga, command: FulfilmentCommand, now: datetime, payment_timeout: timedelta
) -> tuple[OperatorEvent, ...]:
    """Answer an operator's command with the facts it causes; none if nothing changes."""
    if saga.stage is None and not saga.failures:
        raise Unknown(f"there is no fulfilment of order {command.order_id}")
    match command:
        case RetryFulfilment():
            return (_retry(saga, command),)
        case AbandonFulfilment():
            return _abandon(saga, command)
        case SettleFulfilment() if saga.decision == _decision(command):
            return ()
        case SettleFulfilment():
            _must_be_abandoned(saga, "settle")
            return (_settle(saga, command),)
        case ResumeFulfilment() if saga.operated and saga.stage not in {Stage.ABANDONED, Stage.SETTLED}:
            return ()
        case ResumeFulfilment():
            _must_be_abandoned(saga, "resume")
            return (_resume(saga, command, now, payment_timeout),)


def _retry(saga: Saga, command: RetryFulfilment) -> FulfilmentRetried:
    failed = tuple(failure.failure_id for failure in saga.failures if failure.retryable)
    if failed:
        return FulfilmentRetried(order_id=command.order_id, command_ids=failed)
    if saga.failures:
        raise Rejected(
            f"order {command.order_id} is stuck because of {saga.failures[0].failure_id}, which cannot be "
            "retried: cancel the order, retry or skip its dead letter, or abandon and settle the fulfilment"
        )
    raise Rejected("nothing of this order has failed")


def _abandon(saga: Saga, command: AbandonFulfilment) -> tuple[FulfilmentAbandoned, ...]:
    order_id, reason = command.order_id, command.reason
    if saga.stage is Stage.ABANDONED:
        return ()
    if not saga.failures:
        raise Rejected(f"order {order_id} is {saga.stage} and not stuck; only a stuck one can be abandoned")
    return (
        FulfilmentAbandoned(
            order_id=order_id,
            reason=reason,
            commands=(
                AbandonOrder(order_id=order_id, reason=reason),
                AbandonShipment(order_id=order_id, reason=reason),
            ),
            outstanding=outstanding(saga),
        ),
    )


def _decision(command: SettleFulfilment) -> str:
    return decision(command.payment or "", command.amount or 0, command.stock or "")


def _must_be_abandoned(saga: Saga, verb: str) -> None:
    if saga.stage is not Stage.ABANDONED:
        raise Rejected(f"cannot {verb} a fulfilment that is {saga.stage}; only an abandoned one")


def _settle(saga: Saga, command: SettleFulfilment) -> FulfilmentSettled:
    wanted = (*_settle_payment(saga, command), *_settle_stock(saga, command))
    if _unsold(saga, command):
        wanted = (*wanted, ApproveCancellation(order_id=command.order_id, reason=command.reason))
    commands = tuple(step for step in wanted if not settled(identity(step), saga.received, frozenset()))
    return FulfilmentSettled(
        order_id=command.order_id,
        reason=command.reason,
        stage=Stage.ABANDONED if commands else Stage.SETTLED,
        payment=command.payment or "",
        amount=command.amount or 0,
        stock=command.stock or "",
        commands=commands,
    )


def _settle_payment(saga: Saga, command: SettleFulfilment) -> tuple[Step, ...]:
    order_id, found = command.order_id, outstanding(saga)
    held = not {MONEY_HELD, MONEY_UNANSWERED}.isdisjoint(found)
    if (command.payment is PaymentSettlement.REFUND) is (command.amount is None):
        raise Rejected("an amount belongs to the payment `refund`, and to nothing else")
    returns = tuple(_accept_returns(saga))
    match command.payment:
        case None if held or MONEY_CAPTURED in found or returns:
            raise Rejected(
                f"outstanding: {', '.join(found)}; `payment` must say void, capture, refund or outside"
            )
        case None:
            return ()
        case PaymentSettlement.VOID if held:
            return (VoidPayment(order_id=order_id),)
        case PaymentSettlement.CAPTURE if MONEY_HELD in found:
            return (CapturePayment(order_id=order_id),)
        case PaymentSettlement.REFUND if CAPTURED in saga.received and command.amount is not None:
            return_id = f"settlement-{saga.settlements + 1}"
            return (RefundPayment(order_id=order_id, return_id=return_id, amount=command.amount), *returns)
        case PaymentSettlement.OUTSIDE:
            return returns
        case _:
            raise Rejected(f"cannot {command.payment}; outstanding: {', '.join(found) or 'nothing'}")


def _accept_returns(saga: Saga) -> Iterator[Step]:
    """What came back goes into stock, and the returns are closed, whatever becomes of their refunds."""
    for back in saga.returns:
        yield from restock(back)
        yield AcceptReturn(order_id=back.order_id, return_id=back.return_id)


def _settle_stock(saga: Saga, command: SettleFulfilment) -> tuple[Step, ...]:
    order_id, found = command.order_id, outstanding(saga)
    reserved = STOCK_RESERVED in found
    match command.stock:
        case None if reserved:
            raise Rejected(f"outstanding: {', '.join(found)}; `stock` must say release, ship or outside")
        case None | StockSettlement.OUTSIDE:
            return ()
        case StockSettlement.RELEASE if reserved:
            release = ReleaseReservation(order_id=order_id)
            stoppable = shipment_possible(saga) and saga.parcel is None
            return (CancelShipment(order_id=order_id), release) if stoppable else (release,)
        case StockSettlement.SHIP if reserved:
            return (ShipReservation(order_id=order_id),)
        case _:
            raise Rejected(f"cannot {command.stock} stock; outstanding: {', '.join(found) or 'nothing'}")


def _unsold(saga: Saga, command: SettleFulfilment) -> bool:
    """Whether the settlement leaves nothing of the order: no goods gone, no money taken."""
    goods_gone = saga.parcel is not None or saga.has_received(ReservationShipped)
    paid = CAPTURED in saga.received or command.payment in {
        PaymentSettlement.CAPTURE,
        PaymentSettlement.OUTSIDE,
    }
    shipped = command.stock in {StockSettlement.SHIP, StockSettlement.OUTSIDE}
    return not (goods_gone or paid or shipped)


def _resume(
    saga: Saga, command: ResumeFulfilment, now: datetime, payment_timeout: timedelta
) -> FulfilmentResumed:
    order_id = command.order_id
    if saga.settlements:
        raise Rejected(f"the settlement of order {order_id} has begun; settle it again to change it")
    if MISMATCHED in saga.received:
        raise Rejected(f"the payment of order {order_id} does not fit it; settle it")
    resumed = replace(saga, stage=Stage.RESERVING)
    resumed = replace(resumed, stage=stage_of(resumed))
    commands = (ResumeOrder(order_id=order_id), ResumeShipment(order_id=order_id), *open_steps(resumed))
    after = ask(resumed, commands)
    return FulfilmentResumed(
        order_id=order_id,
        reason=command.reason,
        stage=stage_of(after),
        commands=commands,
        timers_set=tuple(Timer(name=name, due=now + payment_timeout) for name in timers_of(after)),
    )
