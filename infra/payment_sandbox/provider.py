"""The provider's rules: what it does when asked, once for each idempotency key."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

import msgspec

from infra.payment_sandbox.ledger import KeyReused, Ledger
from infra.payment_sandbox.messages import (
    Answer,
    Payment,
    PaymentPage,
    Problem,
    ProviderPayment,
    Refund,
    Status,
    Wanted,
    WantedRefund,
    Webhook,
)
from infra.payment_sandbox.test_methods import Behaviour, SandboxToken

FAILURES = 2
"""How often a flaky payment method fails."""

FINAL = frozenset({HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.PAYMENT_REQUIRED})
"""An answer with such a status is given again whenever its request is repeated."""

MARGIN = 0.02
"""Seconds after which a payment that is due has been decided."""

AT_ONCE = 500
"""Pending payments decided in one transaction."""


class SandboxProvider:
    """Answers requests from its ledger; every request is one transaction."""

    def __init__(self, ledger: Ledger, clock: Callable[[], float]) -> None:
        """`clock` gives the time in seconds since 1970."""
        self._ledger = ledger
        self._clock = clock

    def authorize(self, key: str, wanted: Wanted) -> Answer:
        """Set money aside, as the payment method says."""
        return self._once(key, msgspec.json.encode(wanted), lambda tries: self._authorize(wanted, tries))

    def capture(self, key: str, order_id: str) -> Answer:
        """Collect what was set aside."""
        return self._once(key, f"capture {order_id}".encode(), lambda _: self._capture(order_id))

    def void(self, key: str, order_id: str) -> Answer:
        """Let go of what was set aside."""
        return self._once(key, f"void {order_id}".encode(), lambda _: self._void(order_id))

    def refund(self, key: str, order_id: str, wanted: WantedRefund) -> Answer:
        """Give back a part of what was collected."""
        content = f"refund {order_id} ".encode() + msgspec.json.encode(wanted)
        return self._once(key, content, lambda _: self._refund(order_id, wanted))

    def decided(self, order_id: str) -> Answer:
        """How a request to authorise a payment is answered now."""
        payment = self._ledger.payment(order_id)
        return _missing(order_id) if payment is None else _stored(payment)

    def payment(self, order_id: str) -> Answer:
        """How a payment stands."""
        payment = self._ledger.payment(order_id)
        if payment is None:
            return _missing(order_id)
        return Answer(HTTPStatus.OK, msgspec.json.encode(self._whole(payment)))

    def changed_since(self, since: float, after: str | None, limit: int) -> Answer:
        """The payments changed since a time, by pages."""
        place = None
        if after is not None:
            at, _, order_id = after.partition(":")
            try:
                place = (float(at), order_id)
            except ValueError:
                return _problem(HTTPStatus.BAD_REQUEST, f"{after!r} names no page")
        found = self._ledger.changed_since(since, place, limit)
        payments = [self._ledger.payment(changed.order_id) for changed in found]
        following = f"{found[-1].at!r}:{found[-1].order_id}" if len(found) == limit else None
        page = PaymentPage([self._whole(payment) for payment in payments if payment is not None], following)
        return Answer(HTTPStatus.OK, msgspec.json.encode(page))

    def _whole(self, payment: Payment) -> ProviderPayment:
        refunds = self._ledger.refunds(payment.order_id)
        return ProviderPayment(
            *msgspec.structs.astuple(payment),
            captured=self._ledger.captured(payment.order_id),
            refunds=[Refund(refund_id, amount) for refund_id, amount in refunds.items()],
        )

    def by_hand(self, order_id: str, what: str, wanted: WantedRefund | None = None) -> Answer:
        """What somebody does in the provider's dashboard; told by a webhook."""
        with self._ledger.transaction():
            match what, wanted:
                case "refund", WantedRefund():
                    answer, kind = self._refund(order_id, wanted), "refunded"
                case "capture", _:
                    answer, kind = self._capture(order_id), "captured"
                case _:
                    answer, kind = self._void(order_id), "voided"
            payment = self._ledger.payment(order_id)
            if answer.status is HTTPStatus.OK and payment is not None:
                self._tell(payment, kind, self._clock())
            return answer

    def _tell(self, payment: Payment, kind: str, now: float, *, copy: str = "") -> None:
        """Have a webhook sent; a `copy` has the id of the first."""
        body = msgspec.json.encode(Webhook(datetime.fromtimestamp(now, UTC), payment, f"payment.{kind}"))
        self._ledger.add_webhook(f"msg_{payment.order_id}_{kind}{copy}", body, now)

    def _make_noise(self, payment: Payment, now: float) -> None:
        """Webhooks as real providers send them: others' matters, the last first, and some of them twice."""
        order_id = payment.order_id
        self._ledger.add_webhook(f"msg_{order_id}_form", b'["payment", 1]', now - 4)
        self._tell(payment, "risk_scored", now - 3)
        self._tell(payment, "captured", now - 2)
        self._tell(payment, "authorized", now - 1)
        self._tell(payment, "authorized", now, copy="#2")

    def approve_due(self) -> int:
        """Approve the pending payments whose time has come, each with a webhook; how many there were."""
        now = self._clock()
        with self._ledger.transaction():
            due = self._ledger.pending(now, AT_ONCE)
            for order_id in due:
                pending = self._ledger.payment(order_id)
                assert pending is not None
                payment = self._ledger.move(pending, Status.AUTHORIZED)
                self._tell(payment, "authorized", now)
        return len(due)

    def _once(self, key: str, content: bytes, do: Callable[[int], Answer]) -> Answer:
        try:
            with self._ledger.transaction():
                tries, given = self._ledger.begin_request(key, content)
                if given is not None:
                    return given
                answer = do(tries)
                if answer.status in FINAL:
                    self._ledger.end_request(key, answer)
                return answer
        except KeyReused:
            reason = "this idempotency key belongs to another request"
            return _problem(HTTPStatus.CONFLICT, reason, code="key-reused")

    def _authorize(self, wanted: Wanted, tries: int) -> Answer:
        known = self._ledger.payment(wanted.order_id)
        if known is None:
            return self._decide(wanted, tries)
        return _stored(known) if _same(known, wanted) else _conflict(known)

    def _decide(self, wanted: Wanted, tries: int) -> Answer:  # noqa: PLR0911 - a table
        token = SandboxToken.parse(wanted.payment_method)
        match token.behaviour:
            case Behaviour.FLAKY if tries <= FAILURES:
                return _problem(HTTPStatus.SERVICE_UNAVAILABLE, "the provider fails; try again")
            case Behaviour.APPROVE | Behaviour.FLAKY:
                return self._open(wanted, Status.AUTHORIZED)
            case Behaviour.OTHER_AMOUNT:
                return self._open(msgspec.structs.replace(wanted, amount=1), Status.AUTHORIZED)
            case Behaviour.OTHER_CURRENCY:
                other = "EUR" if wanted.currency != "EUR" else "USD"
                return self._open(msgspec.structs.replace(wanted, currency=other), Status.AUTHORIZED)
            case Behaviour.SLOW | Behaviour.EARLY | Behaviour.NOISY:
                return self._open_and_tell(wanted, token)
            case Behaviour.LATE:
                return self._open(wanted, Status.PENDING, due=self._clock() + token.delay)
            case Behaviour.TIMEOUT:
                pending = self._open(wanted, Status.PENDING, due=self._clock() + token.delay)
                return msgspec.structs.replace(pending, held=token.delay + MARGIN)
            case Behaviour.DECLINE:
                return self._open(wanted, Status.DECLINED, reason="declined by the test token")
            case Behaviour.UNKNOWN:
                return self._open(wanted, Status.DECLINED, reason="unknown token")

    def _open_and_tell(self, wanted: Wanted, token: SandboxToken) -> Answer:
        answer = self._open(wanted, Status.AUTHORIZED)
        payment = self._ledger.payment(wanted.order_id)
        assert payment is not None
        if token.behaviour is Behaviour.NOISY:
            self._make_noise(payment, self._clock())
        else:
            self._tell(payment, "authorized", self._clock())
        # A slow one has taken its time before.
        return msgspec.structs.replace(
            answer, held=token.delay if token.behaviour is Behaviour.EARLY else 0.0, told=True
        )

    def _open(self, wanted: Wanted, status: Status, *, reason: str = "", due: float | None = None) -> Answer:
        payment = Payment(
            f"pay_{wanted.order_id}",
            wanted.order_id,
            wanted.amount,
            wanted.currency,
            wanted.payment_method,
            status,
            reason,
        )
        self._ledger.open(payment, due)
        return _stored(payment)

    def _capture(self, order_id: str) -> Answer:
        payment = self._ledger.payment(order_id)
        if payment is None:
            return _missing(order_id)
        if payment.status is not Status.AUTHORIZED:
            return _conflict(payment)
        return _done(self._ledger.move(payment, Status.CAPTURED))

    def _void(self, order_id: str) -> Answer:
        payment = self._ledger.payment(order_id)
        if payment is None:
            return _missing(order_id)
        match payment.status:
            case Status.AUTHORIZED:
                return _done(self._ledger.move(payment, Status.VOIDED))
            case Status.VOIDED | Status.DECLINED:
                return _done(payment)
            case Status.PENDING | Status.CAPTURED:
                return _conflict(payment)

    def _refund(self, order_id: str, wanted: WantedRefund) -> Answer:
        payment = self._ledger.payment(order_id)
        if payment is None:
            return _missing(order_id)
        if payment.status is not Status.CAPTURED:
            return _conflict(payment)
        refunds = self._ledger.refunds(order_id)
        if wanted.refund_id in refunds:
            return _problem(HTTPStatus.CONFLICT, f"{wanted.refund_id} was refunded before", payment.status)
        if sum(refunds.values()) + wanted.amount > payment.amount:
            return _problem(HTTPStatus.CONFLICT, "more than was captured", payment.status)
        self._ledger.enter(payment, "refunded", wanted.amount, wanted.refund_id)
        return _done(payment)


STANDING = {
    Status.PENDING: HTTPStatus.ACCEPTED,
    Status.AUTHORIZED: HTTPStatus.CREATED,
    Status.DECLINED: HTTPStatus.PAYMENT_REQUIRED,
}
"""How a request to authorise is answered while the payment has gone no further."""


def _stored(payment: Payment) -> Answer:
    status = STANDING.get(payment.status)
    return _conflict(payment) if status is None else Answer(status, msgspec.json.encode(payment))


def _done(payment: Payment) -> Answer:
    return Answer(HTTPStatus.OK, msgspec.json.encode(payment))


def _conflict(payment: Payment) -> Answer:
    return _problem(HTTPStatus.CONFLICT, f"the payment is {payment.status}", payment.status)


def _missing(order_id: str) -> Answer:
    return _problem(HTTPStatus.NOT_FOUND, f"there is no payment for {order_id}", code="no-payment")


def in_progress() -> Answer:
    """A request is sent again while the first one is being worked on."""
    reason = "a request with this idempotency key is in progress"
    return _problem(HTTPStatus.CONFLICT, reason, code="in-progress")


def _problem(status: HTTPStatus, reason: str, stands: str = "", *, code: str = "") -> Answer:
    return Answer(status, msgspec.json.encode(Problem(reason, stands, code)))


def _same(payment: Payment, wanted: Wanted) -> bool:
    return (payment.amount, payment.currency, payment.payment_method) == (
        wanted.amount,
        wanted.currency,
        wanted.payment_method,
    )
