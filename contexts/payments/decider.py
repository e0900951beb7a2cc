"""The rules of an order's payment: authorised once, captured once, refunded up to what was captured."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

import msgspec

from contexts.messages import Rejected, ReturnId, Unknown
from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    PaymentsCommand,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.events import (
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentRefunded,
    PaymentsEvent,
    PaymentVoided,
)
from contexts.payments.provider import Answer, Approved, Declined, Done, Impossible, Pending


class Status(StrEnum):
    """Where a payment is."""

    UNKNOWN = "unknown"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"


class Payment(msgspec.Struct, frozen=True):
    """An order's payment; amounts in minor units."""

    status: Status = Status.UNKNOWN
    amount: int = 0
    currency: str = ""
    refunds: Mapping[ReturnId, int] = {}


def question(  # noqa: C901, PLR0911 - a table, a row for each question
    payment: Payment, command: PaymentsCommand
) -> PaymentsCommand | None:
    """What the provider must be asked before the command can be decided; None if nothing."""
    match command, payment.status:
        case AuthorizePayment(), Status.UNKNOWN:
            return command
        case AuthorizePayment(order_id=order_id), Status.VOIDED:
            # Approved too late: the order was given up, so the provider must let go of the money.
            return VoidPayment(order_id=order_id)
        case AuthorizePayment(), Status.DECLINED:
            return None
        case AuthorizePayment(amount=payment.amount, currency=payment.currency), _:
            return None
        case AuthorizePayment(), _:
            raise Rejected(f"order {command.order_id} has a payment of another amount")
        case VoidPayment(), Status.UNKNOWN | Status.AUTHORIZED:
            return command
        case VoidPayment(), Status.DECLINED | Status.VOIDED:
            return None
        case _, Status.UNKNOWN:
            raise Unknown(f"order {command.order_id} has no payment")
        case CapturePayment(), Status.AUTHORIZED:
            return command
        case CapturePayment(), Status.CAPTURED:
            return None
        case RefundPayment(), Status.CAPTURED:
            return _refund_question(payment, command)
        case _:
            raise Rejected(f"cannot {_verb(command)} a payment that is {payment.status}")


def _refund_question(payment: Payment, command: RefundPayment) -> RefundPayment | None:
    if command.return_id in payment.refunds:
        if payment.refunds[command.return_id] == command.amount:
            return None
        raise Rejected(f"return {command.return_id} was refunded with another amount")
    left = payment.amount - sum(payment.refunds.values())
    if command.amount > left:
        raise Rejected(f"only {left} of {payment.amount} captured are left to refund, not {command.amount}")
    return command if command.amount else None


def decide(
    payment: Payment, command: PaymentsCommand, answer: Answer | None = None
) -> tuple[PaymentsEvent, ...]:
    """Answer a command with the facts it causes, given the provider's answer to `question`."""
    match command, answer:
        case _, Impossible(reason=reason):
            raise Rejected(f"cannot {_verb(command)} the payment of order {command.order_id}: {reason}")
        case RefundPayment(amount=0), None if command.return_id not in payment.refunds:
            return (_refunded(payment, command),)
        case _, None | Pending():
            # Nothing had to be asked, or a webhook will tell.
            return ()
        case AuthorizePayment(), _:
            return _authorized(command, answer)
        case CapturePayment(order_id=order_id), _:
            return (PaymentCaptured(order_id=order_id, amount=payment.amount, currency=payment.currency),)
        case VoidPayment(order_id=order_id), _:
            return (PaymentVoided(order_id=order_id),)
        case RefundPayment(), _:
            return (_refunded(payment, command),)
        case _:
            assert_never(command)


def _authorized(command: AuthorizePayment, answer: Approved | Declined | Done) -> tuple[PaymentsEvent, ...]:
    order_id = command.order_id
    match answer:
        case Approved(reference=reference):
            return (
                PaymentAuthorized(
                    order_id=order_id, amount=command.amount, currency=command.currency, reference=reference
                ),
            )
        case Declined(reason=reason):
            return (PaymentDeclined(order_id=order_id, reason=reason),)
        case Done():
            # The late approval has been voided at the provider; the payment stays voided here.
            return ()
        case _:
            assert_never(answer)


def _refunded(payment: Payment, command: RefundPayment) -> PaymentRefunded:
    return PaymentRefunded(
        order_id=command.order_id,
        return_id=command.return_id,
        amount=command.amount,
        currency=payment.currency,
    )


def _verb(command: PaymentsCommand) -> str:
    match command:
        case AuthorizePayment():
            return "authorize"
        case CapturePayment():
            return "capture"
        case VoidPayment():
            return "void"
        case RefundPayment():
            return "refund"
        case _:
            assert_never(command)


def evolve(payment: Payment, event: PaymentsEvent) -> Payment:
    """The payment after one more fact."""
    match event:
        case PaymentAuthorized():
            return Payment(Status.AUTHORIZED, event.amount, event.currency)
        case PaymentDeclined():
            return Payment(Status.DECLINED)
        case PaymentCaptured():
            return Payment(Status.CAPTURED, event.amount, event.currency)
        case PaymentVoided():
            return Payment(Status.VOIDED)
        case PaymentRefunded():
            refunds = {**payment.refunds, event.return_id: event.amount}
            return Payment(payment.status, payment.amount, payment.currency, refunds)
        case _:
            return payment
