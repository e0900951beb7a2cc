"""What the provider has of an order, beside what the order says: every difference is told, to the unit."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from contexts.payments.provider_payment import ProviderPayment, ProviderStatus, Refund
from infra.mongo import Mongo, encode_document
from read_models.monitoring.payment_audit import Money, PaymentAudit, differences
from read_models.projection.documents import ReadModels

NOTHING = {"status": "none", "authorized": 0, "captured": 0, "refunded": 0}
HELD = NOTHING | {"status": "authorized", "authorized": 950}
PAID = HELD | {"status": "captured", "captured": 950}
VOIDED = HELD | {"status": "voided"}
PARTLY_BACK = PAID | {"refunded": 400}


def order(status: str, payment: dict[str, Any], *, total: int | None = 950) -> dict[str, Any]:
    return {"_id": "42", "status": status, "total": total, "currency": "GBP", "payment": payment}


def stands(
    status: ProviderStatus, amount: int = 950, *, currency: str = "GBP", captured: int = 0, refunded: int = 0
) -> ProviderPayment:
    refunds = (Refund("r1", refunded),) if refunded else ()
    return ProviderPayment(
        order_id="42", status=status, amount=amount, currency=currency, captured=captured, refunds=refunds
    )


AUTHORIZED = stands(ProviderStatus.AUTHORIZED)
CAPTURED = stands(ProviderStatus.CAPTURED, captured=950)


@pytest.mark.parametrize(
    ("known", "provider_payment"),
    [
        (order("placed", NOTHING), None),
        (order("placed", NOTHING), stands(ProviderStatus.PENDING)),
        (order("confirmed", HELD), AUTHORIZED),
        (order("dispatched", PAID), CAPTURED),
        (order("completed", PARTLY_BACK), stands(ProviderStatus.CAPTURED, captured=950, refunded=400)),
        (order("cancelled", VOIDED), stands(ProviderStatus.VOIDED)),
        (order("cancelled", NOTHING | {"status": "declined"}), stands(ProviderStatus.DECLINED)),
        (order("cancelled", NOTHING), None),
        (None, stands(ProviderStatus.DECLINED)),
        (None, stands(ProviderStatus.VOIDED)),
    ],
)
def test_what_agrees_is_no_difference(
    known: dict[str, Any] | None, provider_payment: ProviderPayment | None
) -> None:
    assert differences(known, Money.of(provider_payment) if provider_payment else None) == []


@pytest.mark.parametrize(
    ("known", "provider_payment", "words"),
    [
        # Held for ever: an order that was voided here, and one that never asked.
        (order("cancelled", VOIDED), AUTHORIZED, ["holds 950 GBP", "says 0"]),
        (order("cancelled", NOTHING), AUTHORIZED, ["order is cancelled", "holds 950"]),
        (order("cancelled", NOTHING), stands(ProviderStatus.PENDING), ["cancelled", "not decided"]),
        (None, AUTHORIZED, ["no such order", "holds 950 GBP"]),
        (None, CAPTURED, ["no such order", "captured 950 GBP"]),
        (None, stands(ProviderStatus.PENDING), ["no such order", "not decided"]),
        (order("placed", HELD, total=None), AUTHORIZED, ["no such order"]),
        # Another amount or currency than the order's, though the payment says the same.
        (
            order("confirmed", HELD | {"authorized": 1}),
            stands(ProviderStatus.AUTHORIZED, 1),
            ["holds 1 GBP for an order of 950 GBP"],
        ),
        (order("confirmed", HELD), stands(ProviderStatus.AUTHORIZED, currency="EUR"), ["950 EUR", "950 GBP"]),
        (
            order("completed", PAID | {"captured": 1}),
            stands(ProviderStatus.CAPTURED, captured=1),
            ["captured 1 GBP for an order of 950 GBP"],
        ),
        # Less or more than the payment says, to the unit.
        (order("confirmed", HELD), stands(ProviderStatus.VOIDED), ["holds 0 GBP", "says 950"]),
        (order("confirmed", HELD), CAPTURED, ["captured 950 GBP", "says 0"]),
        (order("dispatched", PAID), AUTHORIZED, ["captured 0 GBP", "says 950"]),
        (order("completed", NOTHING), stands(ProviderStatus.AUTHORIZED), ["completed", "captured nothing"]),
        (
            order("completed", PARTLY_BACK),
            stands(ProviderStatus.CAPTURED, captured=950, refunded=399),
            ["refunded 399 GBP", "says 400"],
        ),
        (
            order("completed", PAID),
            stands(ProviderStatus.CAPTURED, captured=950, refunded=950),
            ["refunded 950 GBP", "says 0"],
        ),
        (order("cancelled", PAID), CAPTURED, ["cancelled", "captured 950 GBP and refunded 0"]),
        # Unknown to the provider.
        (order("confirmed", HELD), None, ["does not know", "950 are held"]),
        (order("completed", PAID), None, ["does not know", "950 captured"]),
    ],
)
def test_what_differs_is_told(
    known: dict[str, Any] | None, provider_payment: ProviderPayment | None, words: list[str]
) -> None:
    told = "; ".join(differences(known, Money.of(provider_payment) if provider_payment else None))
    assert all(word in told for word in words), told


async def test_every_order_and_every_payment_is_compared_both_ways(mongo: Mongo) -> None:
    """Pages of the books may hold a payment twice: the last word counts."""
    models = ReadModels(mongo)
    live = await models.live("orders")
    documents = {
        "right": order("confirmed", HELD),
        "lost": order("confirmed", HELD),
        "held": order("cancelled", VOIDED),
    }
    await mongo.insert(live, [encode_document(key, {**it, "_id": key}) for key, it in documents.items()])
    pages = [
        [("right", stands(ProviderStatus.PENDING)), ("held", AUTHORIZED)],
        [("right", AUTHORIZED), ("foreign", CAPTURED)],
    ]

    async def payments() -> AsyncIterator[tuple[ProviderPayment, ...]]:
        for page in pages:
            yield tuple(named(order_id, provider_payment) for order_id, provider_payment in page)

    async def one_payment(order_id: str) -> ProviderPayment | None:
        """Meanwhile the money of one was let go."""
        last = {name: provider_payment for page in pages for name, provider_payment in page}
        last["held"] = stands(ProviderStatus.VOIDED)
        return named(order_id, last[order_id]) if order_id in last else None

    audit = PaymentAudit(models, payments, one_payment)
    found = await audit.run(0)
    assert [order_id for order_id, _ in found] == ["foreign", "lost"]
    assert (audit.checked.provider, audit.checked.orders, audit.checked.differences) == (3, 3, 2)
    assert audit.checked.compared


def named(order_id: str, provider_payment: ProviderPayment) -> ProviderPayment:
    return ProviderPayment(
        order_id=order_id,
        status=provider_payment.status,
        amount=provider_payment.amount,
        currency=provider_payment.currency,
        captured=provider_payment.captured,
        refunds=provider_payment.refunds,
    )
