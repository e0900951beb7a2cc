"""Sending what a file holds to the shop, under keys made from it: sent again, it changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from typing import TypeVar

import msgspec

from gateway.cli.failure import CommandFailed
from gateway.cli.importer.identifiers import digest
from gateway.cli.importer.invoices import Invoice
from gateway.cli.importer.shop import Answer, Shop
from gateway.cli.importer.survey import GUEST, Product
from gateway.cli.importer.tally import Tally
from gateway.cli.progress import Steps
from infra.commands import Token, TokenInvalid

T = TypeVar("T")

PRODUCTS = "/v1/products"
CUSTOMERS = "/v1/customers"
ORDERS = "/v1/orders"

FOUND_SECONDS = 10.0
"""What was refused because it exists can be asked for this much later at the latest."""
LARGEST_RECEIPT = 1_000_000
"""Units that can be received at once."""
MOST_FAILURES_KEPT = 1_000


class Tokens(msgspec.Struct):
    """Consistency tokens by the path of the thing they are about."""

    known: dict[str, Token] = msgspec.field(default_factory=dict)

    def learn(self, thing: str, answer: Answer) -> None:
        """Keep the token of what was done to a thing."""
        if answer.token:
            try:
                self.known[thing] = Token.parse(answer.token)
            except TokenInvalid:
                # They are opaque: one that cannot be merged with others is of no use, and no harm.
                return

    def of(self, things: Iterable[str]) -> str:
        """What names the last of everything that was done to some things: one token per partition."""
        last: dict[tuple[str, int], Token] = {}
        for token in filter(None, map(self.known.get, things)):
            place = (token.context, token.partition)
            if place not in last or last[place].position < token.position:
                last[place] = token
        return ",".join(map(str, last.values()))


class Failures(msgspec.Struct):
    """What the shop refused, and why."""

    count: int = 0
    kept: list[tuple[str, str]] = msgspec.field(default_factory=list)

    def add(self, thing: str, problem: str) -> None:
        """Keep one, up to a bound."""
        self.count += 1
        if len(self.kept) < MOST_FAILURES_KEPT:
            self.kept.append((thing, problem))


class Accepted(msgspec.Struct):
    """The orders the shop took: their ids and their sales by day."""

    orders: set[str] = msgspec.field(default_factory=set)
    tally: Tally = msgspec.field(default_factory=Tally)


class Delivery:
    """One file's way into the shop."""

    def __init__(self, shop: Shop, currency: str, concurrency: int) -> None:
        self._shop = shop
        self._currency = currency
        self._concurrency = concurrency
        self._tokens = Tokens()
        self.failures = Failures()
        self.accepted = Accepted()

    async def add_products(self, products: Mapping[str, Product], steps: Steps) -> None:
        """Add every product there is not yet; one that is there stays as it is."""

        async def add(entry: tuple[str, Product]) -> None:
            sku, product = entry
            body = {
                "sku": sku,
                "name": product.name or sku,
                "unit_price": product.unit_price,
                "currency": self._currency,
            }
            await self._ensure(PRODUCTS, sku, body)

        await self._all(products.items(), add, steps, len(products))

    async def register_customers(self, customers: Mapping[str, str], steps: Steps) -> None:
        """Register every customer (and country) there is not yet."""

        async def register(entry: tuple[str, str]) -> None:
            customer_id, country = entry
            await self._ensure(CUSTOMERS, customer_id, customer_body(customer_id, country))

        await self._all(customers.items(), register, steps, len(customers))

    async def _ensure(self, path: str, key: str, body: Mapping[str, object]) -> None:
        answer = await self._shop.post(path, body, key=keyed(path, key, body))
        thing = f"{path}/{key}"
        if answer.status == 409:
            # There is one of that id that is not like this: it stays, if it really is there.
            answer = await self._found(thing)
        if answer.good:
            self._tokens.learn(thing, answer)
        else:
            self.failures.add(thing, answer.problem)

    async def _found(self, thing: str) -> Answer:
        deadline = time.monotonic() + FOUND_SECONDS
        while True:
            answer = await self._shop.get(thing)
            if answer.status != 404 or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(FOUND_SECONDS / 20)

    async def receive_stock(self, units: Mapping[str, int], reference: str, steps: Steps) -> None:
        """Receive units of each SKU, once for this reference."""

        async def receive(entry: tuple[str, int, int]) -> None:
            sku, part, quantity = entry
            body = {"quantity": quantity, "reference": reference}
            path = f"/v1/stock/{sku}/receive"
            answer = await self._shop.post(path, body, key=keyed(path, str(part), body))
            if not answer.good:
                self.failures.add(path, answer.problem)

        receipts = list(portions(units))
        await self._all(receipts, receive, steps, len(receipts))

    async def place_orders(self, invoices: Iterator[Invoice], payment: str, total: int, steps: Steps) -> None:
        """Place each invoice as an order; the shop may take them in any order."""

        async def place(invoice: Invoice) -> None:
            body = order_body(invoice, payment)
            needed = [f"{PRODUCTS}/{sku}" for sku, _ in invoice.lines]
            after = self._tokens.of([f"{CUSTOMERS}/{invoice.customer_id}", *needed])
            key = keyed(ORDERS, invoice.order_id, body)
            answer = await self._shop.post(ORDERS, body, key=key, after=after)
            if answer.good:
                self._tokens.learn(f"{ORDERS}/{invoice.order_id}", answer)
                self.accepted.orders.add(invoice.order_id)
                self.accepted.tally.add(invoice.placed_at.date(), invoice.sales)
            else:
                self.failures.add(f"{ORDERS}/{invoice.order_id}", answer.problem)

        await self._all(invoices, place, steps, total)

    @property
    def placed(self) -> str:
        """The consistency tokens of every order placed."""
        return self._tokens.of(f"{ORDERS}/{order_id}" for order_id in self.accepted.orders)

    async def _all(
        self, things: Iterable[T], send: Callable[[T], Awaitable[None]], steps: Steps, total: int
    ) -> None:
        """Send so many at once; what is not yet sent is not yet read."""
        waiting, done = iter(things), 0
        steps.at(0, total)

        async def work() -> None:
            nonlocal done
            for thing in waiting:
                await send(thing)
                done += 1
                steps.at(done)

        try:
            async with asyncio.TaskGroup() as group:
                for _ in range(self._concurrency):
                    group.create_task(work())
        except ExceptionGroup as several:
            failed = several.subgroup(CommandFailed)
            raise failed.exceptions[0] if failed else several from None


def keyed(path: str, thing: str, body: Mapping[str, object]) -> str:
    """The idempotency key of a command: another one as soon as anything about it is different."""
    content = msgspec.json.encode([path, thing, body])
    return f"import-{digest(content)[:40]}"


def portions(units: Mapping[str, int]) -> Iterator[tuple[str, int, int]]:
    """SKU, number and units of each receipt."""
    for sku, wanted in units.items():
        for part, begun in enumerate(range(0, wanted, LARGEST_RECEIPT)):
            yield sku, part, min(LARGEST_RECEIPT, wanted - begun)


def customer_body(customer_id: str, country: str) -> dict[str, object]:
    """A customer of whom the file says only the number and the country."""
    guest = customer_id.startswith(GUEST)
    return {
        "customer_id": customer_id,
        "name": f"Guest from {country}" if guest else f"Customer {customer_id}",
        "email": f"{customer_id}@example.invalid" if guest else f"customer-{customer_id}@example.invalid",
        "address": {"line1": "unknown", "city": "unknown", "postcode": "unknown", "country": country},
    }


def order_body(invoice: Invoice, payment: str) -> dict[str, object]:
    """An invoice as the order it was."""
    return {
        "order_id": invoice.order_id,
        "customer_id": invoice.customer_id,
        "lines": [
            {"sku": sku, "quantity": quantity, "unit_price": unit_price}
            for (sku, unit_price), quantity in invoice.lines.items()
        ],
        "payment_method": payment,
        "placed_at": invoice.placed_at.isoformat(),
    }
