"""The rules of an order's payment: authorised once, captured once, refunded up to what was captured.

A command is decided by asking the provider until there is no `question` left: what is asked is recorded
before it is asked, `answered` says which facts follow from an answer, `decide` concludes.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import assert_never

import msgspec
from msgspec.structs import replace

from contexts.messages import Rejected, ReturnId, Unknown
from contexts.payments.commands import (
    AuthorizePayment,
    CapturePayment,
    CheckPayment,
    PaymentsCommand,
    RefundPayment,
    VoidPayment,
)
from contexts.payments.events import (
    CaptureRequested,
    PaymentAuthorized,
    PaymentCaptured,
    PaymentDeclined,
    PaymentMismatched,
    PaymentRefunded,
    PaymentRequested,
    PaymentsEvent,
    PaymentVoided,
    RefundRequested,
    VoidRequested,
)
from contexts.payments.provider import Answer, Impossible, Intent, Missing, Pending, Request, StatusRequest
from contexts.payments.provider_payment import ProviderPayment, ProviderStatus


class Status(StrEnum):
    """Where a payment is."""

    UNKNOWN = "unknown"
    REQUESTED = "requested"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    MISMATCHED = "mismatched"
    CAPTURED = "captured"
    VOIDED = "voided"


class Payment(msgspec.Struct, frozen=True):
    """An order's payment; amounts in minor units.

    `asked` holds what was asked of the provider, by its idempotency key; `mismatch` how the provider's books
    differ from it.
    """

    status: Status = Status.UNKNOWN
    amount: int = 0
    currency: str = ""
    refunds: Mapping[ReturnId, int] = {}
    asked: Mapping[str, Intent] = {}
    voids: int = 0
    mismatch: str = ""


class Undecided(Exception):
    """The provider has not decided yet; the command can be carried out once it has."""


Answers = Mapping[type[Request], Answer]
"""What the provider has answered so far to the questions of one command."""


def question(payment: Payment, command: PaymentsCommand, answers: Answers) -> Request | None:
    """What the provider must be asked next; None if nothing. Raises Rejected."""
    wanted = _wanted(payment, command, answers)
    if wanted is None or type(wanted) not in answers:
        return wanted
    if isinstance(answers[type(wanted)], Impossible | Missing) and StatusRequest not in answers:
        # The provider's books are not as we know them: somebody changed them there.
        return StatusRequest(command.order_id)
    return None


def intents(payment: Payment, command: PaymentsCommand, request: Request) -> tuple[Intent, ...]:
    """What is recorded before a question is put, if it is not yet: what is asked, and what it is asked for.

    So whichever process learns the provider's decision first also knows of a void that waits for it.
    """
    wanted: list[Intent] = []
    if isinstance(command, VoidPayment):
        wanted.append(_void(payment, command))
    if not isinstance(request, StatusRequest) and request not in wanted:
        wanted.append(request)
    return tuple(intent for intent in wanted if intent.idempotency_key not in payment.asked)


def _wanted(  # noqa: C901, PLR0911 - a table, a row for each question
    payment: Payment, command: PaymentsCommand, answers: Answers
) -> Request | None:
    """What has still to be asked for the command to be done; None once it is."""
    match command, payment.status:
        case AuthorizePayment(), _:
            return _authorization(payment, command)
        case VoidPayment(), Status.UNKNOWN | Status.AUTHORIZED | Status.MISMATCHED:
            return _void(payment, command)
        case VoidPayment(), Status.REQUESTED:
            # Whether money is held is not known: only the answer to what was asked can tell.
            return payment.asked[authorization_key(command.order_id)]
        case VoidPayment(), Status.DECLINED | Status.VOIDED:
            return None
        case _, Status.UNKNOWN if not payment.asked:
            raise Unknown(f"order {command.order_id} has no payment")
        case CheckPayment(), _ if StatusRequest not in answers:
            return StatusRequest(command.order_id)
        case CheckPayment(), status if _held(answers[StatusRequest]) and (
            status is not Status.AUTHORIZED or _void(payment, command).idempotency_key in payment.asked
        ):
            # Held though it was given up, is not what was asked for, or was to be let go of.
            return _void(payment, command)
        case CheckPayment(), _:
            return None
        case CapturePayment(order_id=order_id), Status.AUTHORIZED:
            return CaptureRequested(
                order_id=order_id,
                amount=payment.amount,
                currency=payment.currency,
                idempotency_key=f"{order_id}:capture",
            )
        case CapturePayment(), Status.CAPTURED:
            return None
        case RefundPayment(), Status.CAPTURED:
            return _refund(payment, command)
        case _:
            raise Rejected(f"cannot {_verb(command)} a payment that is {payment.status}")


def _authorization(payment: Payment, command: AuthorizePayment) -> Request | None:
    wanted = PaymentRequested(
        order_id=command.order_id,
        amount=command.amount,
        currency=command.currency,
        payment_method=command.payment_method,
        idempotency_key=authorization_key(command.order_id),
    )
    match payment.status:
        case Status.UNKNOWN:
            return wanted
        case Status.REQUESTED if payment.asked[wanted.idempotency_key] == wanted:
            return wanted
        case Status.AUTHORIZED | Status.CAPTURED if (command.amount, command.currency) == (
            payment.amount,
            payment.currency,
        ):
            return None
        case Status.MISMATCHED:
            return _void(payment, command)
        case Status.DECLINED | Status.VOIDED:
            return None
        case _:
            raise Rejected(f"order {command.order_id} has a payment of another amount")


def authorization_key(order_id: str) -> str:
    """The idempotency key of the request to authorise an order's payment."""
    return f"{order_id}:authorize"


def _void(payment: Payment, command: PaymentsCommand) -> VoidRequested:
    """A void that was confirmed is not asked for again: an approval that came after it needs its own."""
    number = f":{payment.voids + 1}" if payment.voids else ""
    return VoidRequested(order_id=command.order_id, idempotency_key=f"{command.order_id}:void{number}")


def _refund(payment: Payment, command: RefundPayment) -> RefundRequested | None:
    wanted = RefundRequested(
        order_id=command.order_id,
        return_id=command.return_id,
        amount=command.amount,
        currency=payment.currency,
        idempotency_key=f"{command.order_id}:refund:{command.return_id}",
    )
    if command.return_id in payment.refunds:
        if payment.refunds[command.return_id] == command.amount:
            return None
        raise Rejected(f"return {command.return_id} was refunded with another amount")
    if payment.asked.get(wanted.idempotency_key, wanted) != wanted:
        raise Rejected(f"another amount was asked to be refunded for return {command.return_id}")
    left = payment.amount - sum(payment.refunds.values())
    if command.amount > left:
        raise Rejected(f"only {left} of {payment.amount} captured are left to refund, not {command.amount}")
    return wanted if command.amount else None


def _held(answer: Answer) -> bool:
    return isinstance(answer, ProviderPayment) and answer.status is ProviderStatus.AUTHORIZED


def decide(payment: Payment, command: PaymentsCommand, answers: Answers) -> tuple[PaymentsEvent, ...]:
    """Conclude a command when nothing is left to be asked; raises Rejected or Undecided."""
    wanted = _wanted(payment, command, answers)
    answer = None if wanted is None else answers[type(wanted)]
    match command, answer:
        case CheckPayment(), _:
            return ()
        case RefundPayment(amount=0), None if command.return_id not in payment.refunds:
            return (
                PaymentRefunded(
                    order_id=command.order_id,
                    return_id=command.return_id,
                    amount=0,
                    currency=payment.currency,
                ),
            )
        case _, None:
            return ()
        case AuthorizePayment(), Pending():
            # A webhook will tell, or the saga gives up.
            return ()
        case _, Pending():
            raise Undecided(f"the payment provider has not yet decided on order {command.order_id}")
        case _, Impossible(reason=reason):
            raise Rejected(f"cannot {_verb(command)} the payment of order {command.order_id}: {reason}")
        case _, Missing():
            raise Rejected(
                f"cannot {_verb(command)} the payment of order {command.order_id}: "
                "the provider does not know it"
            )
        case _:
            return ()


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
        case CheckPayment():
            return "check"
        case _:
            assert_never(command)


def evolve(payment: Payment, event: PaymentsEvent) -> Payment:  # noqa: PLR0911 - a table
    """The payment after one more fact."""
    match event:
        case PaymentRequested():
            asked = _with(payment, event)
            if payment.status is not Status.UNKNOWN:
                return asked
            return replace(asked, status=Status.REQUESTED, amount=event.amount, currency=event.currency)
        case CaptureRequested() | VoidRequested() | RefundRequested():
            return _with(payment, event)
        case PaymentAuthorized():
            return replace(payment, status=Status.AUTHORIZED, amount=event.amount, currency=event.currency)
        case PaymentDeclined():
            return replace(payment, status=Status.DECLINED)
        case PaymentCaptured():
            return replace(payment, status=Status.CAPTURED, amount=event.amount, currency=event.currency)
        case PaymentVoided():
            return replace(payment, status=Status.VOIDED, voids=payment.voids + 1)
        case PaymentRefunded():
            return replace(payment, refunds={**payment.refunds, event.return_id: event.amount})
        case PaymentMismatched():
            # Only what the provider holds and has not collected can be let go.
            open_ = payment.status in {Status.REQUESTED, Status.AUTHORIZED}
            status = Status.MISMATCHED if open_ else payment.status
            return replace(payment, status=status, mismatch=event.reason)
        case _:
            assert_never(event)


def _with(payment: Payment, intent: Intent) -> Payment:
    return replace(payment, asked={**payment.asked, intent.idempotency_key: intent})
