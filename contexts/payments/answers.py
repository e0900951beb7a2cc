"""Which facts follow from what the provider answers."""

from __future__ import annotations

from contexts.payments.decider import Payment, Status
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
from contexts.payments.provider import (
    Answer,
    Approved,
    Captured,
    Declined,
    Done,
    Missing,
    Request,
    StatusRequest,
)
from contexts.payments.provider_payment import ProviderPayment, ProviderStatus

Facts = tuple[PaymentsEvent, ...]

OPEN = frozenset({Status.UNKNOWN, Status.REQUESTED, Status.AUTHORIZED, Status.MISMATCHED})
"""Where the provider may hold money, as far as we know."""


def answered(payment: Payment, request: Request, answer: Answer) -> Facts:  # noqa: PLR0911 - a table
    """The facts that follow from an answer; none if it leaves open how the payment stands."""
    order_id = request.order_id
    match request, answer:
        case PaymentRequested(), Approved():
            return _held(payment, order_id, answer.amount, answer.currency, answer.reference)
        case PaymentRequested(), Declined(reason=reason):
            return (PaymentDeclined(order_id=order_id, reason=reason),)
        case CaptureRequested(), Captured(amount=amount, currency=currency):
            return _collected(payment, order_id, amount, currency)
        case VoidRequested(), Done():
            return (PaymentVoided(order_id=order_id),)
        case VoidRequested(), Missing() if payment.status is Status.UNKNOWN:
            # Nothing was asked, so nothing can be on its way: there is no payment, and will be none.
            return (PaymentVoided(order_id=order_id),)
        case RefundRequested(), Done():
            return (_refunded(request.return_id, request.amount, order_id, request.currency),)
        case StatusRequest(), ProviderPayment():
            return _stands(payment, answer)
        case _:
            return ()


def _held(payment: Payment, order_id: str, amount: int, currency: str, reference: str) -> Facts:
    """Money is held: as it was asked, or another amount."""
    if (amount, currency) == (payment.amount, payment.currency):
        if payment.status is Status.AUTHORIZED:
            return ()
        return (PaymentAuthorized(order_id=order_id, amount=amount, currency=currency, reference=reference),)
    return _mismatch(payment, order_id, amount, currency, "authorised")


def _collected(payment: Payment, order_id: str, amount: int, currency: str) -> Facts:
    """Money is captured: what was held, or another amount."""
    captured = PaymentCaptured(order_id=order_id, amount=amount, currency=currency)
    if (amount, currency) == (payment.amount, payment.currency):
        return (captured,)
    return (captured, *_mismatch(payment, order_id, amount, currency, "captured"))


def _mismatch(payment: Payment, order_id: str, amount: int, currency: str, done: str) -> Facts:
    asked = f"{payment.amount} {payment.currency}" if payment.amount else "nothing"
    reason = f"the provider {done} {amount} {currency}; {asked} was asked for"
    mismatch = PaymentMismatched(order_id=order_id, amount=amount, currency=currency, reason=reason)
    return _told(payment, mismatch)


def _told(payment: Payment, mismatch: PaymentMismatched) -> Facts:
    """A mismatch that is known is not told again."""
    return () if payment.mismatch == mismatch.reason else (mismatch,)


def _stands(payment: Payment, provider_payment: ProviderPayment) -> Facts:  # noqa: PLR0911 - a table
    """What the provider's books say beyond what is known here."""
    order_id, amount, currency = provider_payment.order_id, provider_payment.amount, provider_payment.currency
    match payment.status, provider_payment.status:
        case Status.REQUESTED | Status.AUTHORIZED, ProviderStatus.AUTHORIZED:
            return _held(payment, order_id, amount, currency, provider_payment.reference)
        case Status.REQUESTED, ProviderStatus.DECLINED:
            return (PaymentDeclined(order_id=order_id, reason=provider_payment.reason),)
        case status, ProviderStatus.VOIDED | ProviderStatus.DECLINED if status in OPEN:
            # In the provider's dashboard, or by a request whose answer was lost.
            return (PaymentVoided(order_id=order_id),)
        case Status.REQUESTED | Status.AUTHORIZED, ProviderStatus.CAPTURED:
            held = _held(payment, order_id, amount, currency, provider_payment.reference)
            held = tuple(fact for fact in held if isinstance(fact, PaymentAuthorized))
            collected = _collected(payment, order_id, provider_payment.captured, currency)
            return (*held, *collected, *_given_back(payment, provider_payment))
        case Status.CAPTURED, ProviderStatus.CAPTURED:
            if (provider_payment.captured, currency) != (payment.amount, payment.currency):
                return _mismatch(payment, order_id, provider_payment.captured, currency, "captured")
            return _given_back(payment, provider_payment)
        case Status.CAPTURED, _:
            return _contrary(payment, provider_payment)
        case _, ProviderStatus.CAPTURED:
            return _contrary(payment, provider_payment)
        case _:
            return ()


def _contrary(payment: Payment, provider_payment: ProviderPayment) -> Facts:
    """What cannot be, unless somebody changed the provider's books by hand."""
    reason = f"the payment is {provider_payment.status} at the provider, and {payment.status} here"
    return _told(
        payment,
        PaymentMismatched(
            order_id=provider_payment.order_id,
            amount=provider_payment.captured or provider_payment.amount,
            currency=provider_payment.currency,
            reason=reason,
        ),
    )


def _given_back(payment: Payment, provider_payment: ProviderPayment) -> Facts:
    return tuple(
        _refunded(refund.refund_id, refund.amount, provider_payment.order_id, provider_payment.currency)
        for refund in provider_payment.refunds
        if refund.refund_id not in payment.refunds
    )


def _refunded(return_id: str, amount: int, order_id: str, currency: str) -> PaymentRefunded:
    return PaymentRefunded(order_id=order_id, return_id=return_id, amount=amount, currency=currency)
