"""What the sandbox provider is asked, and what it answers and tells, as JSON."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated

import msgspec
from msgspec import Meta

Id = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]
Money = Annotated[int, Meta(gt=0, le=10**15, description="in minor units")]


class Status(StrEnum):
    """Where a payment is in the provider's books."""

    PENDING = "pending"
    AUTHORIZED = "authorized"
    DECLINED = "declined"
    CAPTURED = "captured"
    VOIDED = "voided"


class Wanted(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /payments."""

    order_id: Id
    amount: Money
    currency: Annotated[str, Meta(pattern=r"\A[A-Z]{3}\Z")]
    payment_method: Annotated[str, Meta(min_length=1, max_length=64)]


class WantedRefund(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """POST /payments/{order_id}/refunds."""

    refund_id: Id
    amount: Money


class Payment(msgspec.Struct, frozen=True):
    """A payment in the provider's books; also the answer to whatever changes it."""

    reference: str
    order_id: str
    amount: int
    currency: str
    payment_method: str
    status: Status
    reason: str = ""


class Problem(msgspec.Struct, frozen=True):
    """Why a request was not done; `status` is the payment's, where there is one."""

    reason: str
    status: str = ""
    code: str = ""


class Webhook(msgspec.Struct, frozen=True):
    """What the provider tells by itself: something happened to a payment."""

    timestamp: datetime
    data: Payment
    type: str = "payment.authorized"


class Refund(msgspec.Struct, frozen=True):
    """A part of a payment that was given back."""

    refund_id: str
    amount: int


class ProviderPayment(Payment, frozen=True, kw_only=True):
    """GET /payments/{order_id}: a payment with what became of its money."""

    captured: int
    refunds: list[Refund]


class PaymentPage(msgspec.Struct, frozen=True):
    """GET /payments: a page of payments, the one that changed first first; `next` asks for the next page."""

    payments: list[ProviderPayment]
    next: str | None


class Entry(msgspec.Struct, frozen=True):
    """A line of the ledger: money set aside, collected, let go of or given back."""

    id: int
    order_id: str
    kind: str
    amount: int
    currency: str
    refund_id: str
    at: float


class Sum(msgspec.Struct, frozen=True):
    """All entries of a kind in a currency, added up."""

    kind: str
    currency: str
    count: int
    amount: int


class Balance(msgspec.Struct, frozen=True):
    """A payment with the sums of its entries."""

    order_id: str
    status: Status
    currency: str
    authorized: int
    captured: int
    refunded: int


class Books(msgspec.Struct, frozen=True):
    """GET /ledger."""

    sums: list[Sum]
    payments: list[Balance]
    entries: list[Entry]


class Answer(msgspec.Struct, frozen=True):
    """An HTTP status and a JSON body, which the caller has to wait for if it is `held` (seconds).

    `told` says that a webhook is to be sent as well.
    """

    status: HTTPStatus
    body: bytes
    held: float = 0.0
    told: bool = False
