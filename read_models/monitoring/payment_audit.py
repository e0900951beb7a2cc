"""Has the payment provider held, captured and refunded what the orders say? To the unit, both ways."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any

import msgspec

from contexts.payments.provider_payment import ProviderPayment, ProviderStatus
from read_models.projection.documents import ReadModels

PAGE = 1_000
POLL_SECONDS = 0.5
MOST_ASKED_AGAIN = 1_000
"""Orders that differ and are looked at again; of more than that something else is wrong."""

Payments = Callable[[], AsyncIterator[tuple[ProviderPayment, ...]]]
OnePayment = Callable[[str], Awaitable[ProviderPayment | None]]


class Money(msgspec.Struct, frozen=True):
    """What a provider has of an order, in minor units; less than its whole answer, for there are many."""

    status: ProviderStatus
    currency: str
    held: int
    captured: int
    refunded: int

    @classmethod
    def of(cls, provider_payment: ProviderPayment) -> Money:
        """What matters of a payment in the provider's books."""
        return cls(
            provider_payment.status,
            provider_payment.currency,
            provider_payment.held,
            provider_payment.captured,
            provider_payment.refunded,
        )


class CheckedPayments(msgspec.Struct, kw_only=True):
    """The provider's books beside the orders; `problem` says why they were not compared, if they were not."""

    compared: bool = False
    problem: str = ""
    provider: int = 0
    orders: int = 0
    differences: int = 0


class PaymentAudit:
    """One comparison of everything. What differs is looked at again, for orders go on meanwhile."""

    def __init__(self, models: ReadModels, payments: Payments, one_payment: OnePayment) -> None:
        self._models = models
        self._payments = payments
        self._one_payment = one_payment
        self.checked = CheckedPayments()

    async def run(self, wait: float, spoilt: AbstractSet[str] = frozenset()) -> list[tuple[str, str]]:
        """The orders that differ, and how, after up to `wait` seconds for what is under way to end.

        `spoilt` are documents that are not what their events make them, and say nothing. Raises what reading
        the provider's books raises.
        """
        known = {
            provider_payment.order_id: Money.of(provider_payment)
            async for page in self._payments()
            for provider_payment in page
        }
        self.checked.provider = len(known)
        found: dict[str, list[str]] = {}
        async for order in self._orders():
            self.checked.orders += 1
            if whats := differences(order, known.pop(order["_id"], None)):
                found[order["_id"]] = whats
        found |= {order_id: whats for order_id, money in known.items() if (whats := differences(None, money))}
        found = {order_id: whats for order_id, whats in found.items() if order_id not in spoilt}
        if len(found) <= MOST_ASKED_AGAIN:
            found = await self._settle(found, wait)
        self.checked.compared = True
        self.checked.differences = sum(len(whats) for whats in found.values())
        return [(order_id, what) for order_id, whats in sorted(found.items()) for what in whats]

    async def _orders(self) -> AsyncIterator[dict[str, Any]]:
        live, last = await self._models.live("orders"), ""
        while True:
            page = await self._models.mongo.find(
                live, {"_id": {"$gt": last}}, sort=(("_id", 1),), limit=PAGE, without=("lines", "returns")
            )
            for order in page:
                yield order
            if len(page) < PAGE:
                return
            last = page[-1]["_id"]

    async def _settle(self, found: dict[str, list[str]], wait: float) -> dict[str, list[str]]:
        deadline = asyncio.get_running_loop().time() + wait
        while True:
            found = {order_id: whats for order_id in found if (whats := await self._again(order_id))}
            if not found or asyncio.get_running_loop().time() > deadline:
                return found
            await asyncio.sleep(POLL_SECONDS)

    async def _again(self, order_id: str) -> list[str]:
        provider_payment = await self._one_payment(order_id)
        orders = await self._models.mongo.find(
            await self._models.live("orders"), {"_id": order_id}, without=("lines", "returns")
        )
        return differences(
            orders[0] if orders else None, Money.of(provider_payment) if provider_payment else None
        )


def differences(order: Mapping[str, Any] | None, money: Money | None) -> list[str]:
    """How an order and what the provider has of it differ."""
    payment = order["payment"] if order else {}
    held = payment.get("authorized", 0) if payment.get("status") == "authorized" else 0
    captured, refunded = payment.get("captured", 0), payment.get("refunded", 0)
    if money is None:
        if held or captured:
            return [f"the provider does not know a payment of which {held} are held and {captured} captured"]
        return []
    if order is None or order.get("total") is None:
        if money.held or money.captured or money.status is ProviderStatus.PENDING:
            return [f"there is no such order, and the provider {_has(money)}"]
        return []
    return [
        f"the provider {verb} {there} {money.currency}; the order's payment says {here}"
        for verb, there, here in (
            ("holds", money.held, held),
            ("captured", money.captured, captured),
            ("refunded", money.refunded, refunded),
        )
        if there != here
    ] + list(_against(order, money))


def _against(order: Mapping[str, Any], money: Money) -> list[str]:
    """What no order of this status and total may have."""
    total, currency, status = order["total"], order["currency"], order["status"]
    found = []
    for verb, amount in (("holds", money.held), ("captured", money.captured)):
        if amount and (amount, money.currency) != (total, currency):
            found.append(f"the provider {verb} {amount} {money.currency} for an order of {total} {currency}")
    if status == "cancelled" and (money.held or money.captured > money.refunded):
        found.append(f"the order is cancelled, and the provider {_has(money)}")
    if status == "cancelled" and money.status is ProviderStatus.PENDING:
        found.append("the order is cancelled, and the provider has not decided on its payment")
    if status == "completed" and not money.captured:
        found.append("the order is completed, and the provider captured nothing")
    return found


def _has(money: Money) -> str:
    if money.status is ProviderStatus.PENDING:
        return "has not decided on its payment"
    if money.held:
        return f"holds {money.held} {money.currency}"
    return f"captured {money.captured} {money.currency} and refunded {money.refunded}"
