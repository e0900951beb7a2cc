"""Sending what a file holds to the shop, under keys made from it: sent again, it changes nothing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from typing import Any, TypeVar

import msgspec

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.api_client import CUSTOMERS, ORDERS, PRODUCTS, Answer, Shop
from gateway.cli.importer.classification import digest, guest, in_country
from gateway.cli.importer.invoices import (
    Buyer,
    Group,
    Invoice,
    Placed,
    Product,
    Receipt,
    Sales,
    difference,
    needs,
    one_by_one,
    parted,
    placed_of,
    together,
)
from gateway.cli.progress import Steps
from infra.messages.commands import Token, TokenInvalid

T = TypeVar("T")
NOT_FOUND, REJECTED, STALE, KEY_REUSED = 404, 409, 412, 422
NEVER = '"999999999999"'
"""A version that no stock will have."""
FOUND_SECONDS = 10.0
"""What was refused because it exists can be asked for this much later at the latest."""
MOST_FAILURES_KEPT = 1_000


class Records(msgspec.Struct):
    """Which record of the shop a customer's purchases in a country belong to.

    Sales count in the country of the customer's address. The file has no address but the country, so a
    customer whom an import has made has a further record for each further country. A customer whom the shop
    knows otherwise keeps the one record there is, with the address it has; the report tells where their sales
    are counted then.
    """

    ids: dict[tuple[str, str], str] = msgspec.field(default_factory=dict)
    further: dict[str, str] = msgspec.field(default_factory=dict)
    """A customer's further record → the customer."""
    elsewhere: dict[str, str] = msgspec.field(default_factory=dict)
    """Customer → the country their sales are counted in, though the file has another."""

    def of(self, customer: str, country: str) -> str:
        return self.ids.get((customer, country), customer)


def countries_of(buyers: Mapping[str, Buyer]) -> list[str]:
    """A customer's countries, the one of the first invoice first."""
    return [buyer.country for buyer in sorted(buyers.values())]


def was_imported(document: Mapping[str, Any], customer: str) -> bool:
    """Whether a customer's record is one that an import made."""
    return document.get("email") == email_of(customer)


def country_of(document: Mapping[str, Any]) -> str | None:
    """Where a customer lives by their record; None of one who was forgotten."""
    country = (document.get("address") or {}).get("country")
    return None if country is None else str(country)


def customer_body(customer_id: str, country: str) -> dict[str, object]:
    """A customer of whom the file says only the number and the country."""
    name = f"Guest from {country}" if customer_id == guest(country) else f"Customer {customer_id}"
    return {
        "customer_id": customer_id,
        "name": name,
        "email": email_of(customer_id),
        "address": {"line1": "unknown", "city": "unknown", "postcode": "unknown", "country": country},
    }


def email_of(customer_id: str) -> str:
    """An address that cannot exist (RFC 2606)."""
    return f"{customer_id if customer_id.startswith('guest-') else f'customer-{customer_id}'}@example.invalid"


def further_record(records: Records, customer: str, country: str) -> str:
    """Note that a customer has a further record in a country; its id."""
    made = in_country(customer, country)
    records.ids[customer, country] = made
    records.further[made] = customer
    return made


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
        self.count += 1
        if len(self.kept) < MOST_FAILURES_KEPT:
            self.kept.append((thing, problem))


class Accepted(msgspec.Struct):
    """The file's orders in the shop, and what of the file the shop should have sold by day."""

    orders: set[str] = msgspec.field(default_factory=set)
    sales: Sales = msgspec.field(default_factory=Sales)


class Delivery:
    """One file's way into the shop."""

    def __init__(self, shop: Shop, currency: str, digits: int, concurrency: int) -> None:
        self._shop = shop
        self._currency = currency
        self._digits = digits
        self._concurrency = concurrency
        self._tokens = Tokens()
        self._missing: dict[str, str] = {}
        """Products and customers that the shop does not take, by path, and why."""
        self.records = Records()
        self.failures = Failures()
        self.refused: dict[str, str] = {}
        """Orders that the shop does not take, and why."""
        self.changed: dict[str, str] = {}
        """Orders that the shop has with other content, and which."""
        self.accepted = Accepted()

    async def check_currency(self, products: Collection[str]) -> None:
        """Raise CommandFailed if any of the products is sold in another currency."""
        async for product in self._shop.items(PRODUCTS):
            if product["sku"] in products:
                self._refuse_currency(product)

    def _refuse_currency(self, product: Mapping[str, object]) -> None:
        if product.get("currency", self._currency) != self._currency:
            raise CommandFailed(
                f"product {product['sku']} is sold in {product['currency']} and the file is in "
                f"{self._currency}; no order was placed: import it with --currency {product['currency']} "
                "if its prices are in that, or give its products other codes"
            )

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
            there = await self._ensure(PRODUCTS, sku, body)
            if there is not None and there.status == 200:
                self._refuse_currency(there.body)

        await self._all(products.items(), add, steps, len(products))

    async def register_customers(self, customers: Mapping[str, Mapping[str, Buyer]], steps: Steps) -> None:
        """Register every customer there is not yet, with a record for each country."""

        async def register(entry: tuple[str, Mapping[str, Buyer]]) -> None:
            customer, buyers = entry
            home, *others = countries_of(buyers)
            there = await self._shop.get(f"{CUSTOMERS}/{customer}") if others else None
            if there is None or not there.good:
                there = await self._ensure(CUSTOMERS, customer, customer_body(customer, home))
            if there is None or "email" not in there.body:
                # It was made now, or by an earlier import, with this country.
                for country in others:
                    await self._register_further(customer, country)
                return
            lives = country_of(there.body)
            for country in (home, *others):
                if lives in {None, country}:
                    continue
                if was_imported(there.body, customer):
                    await self._register_further(customer, country)
                else:
                    self.records.elsewhere[customer] = str(lives)

        await self._all(customers.items(), register, steps, len(customers))

    async def _register_further(self, customer: str, country: str) -> None:
        made = further_record(self.records, customer, country)
        await self._ensure(CUSTOMERS, made, customer_body(made, country))

    async def _ensure(self, path: str, key: str, body: Mapping[str, object]) -> Answer | None:
        """See that a thing is there; how the shop describes it (200), or that it was made (201)."""
        answer = await self._shop.post(path, body, key=keyed(path, key, body))
        thing = f"{path}/{key}"
        if answer.status == REJECTED:
            # There is one of that id that is not like this: it stays, if it really is there.
            answer = await self._found(thing)
        if not answer.good:
            self.failures.add(thing, answer.problem)
            self._missing[thing] = f"{thing}  {answer.problem}"
            return None
        self._tokens.learn(thing, answer)
        return answer

    async def _found(self, thing: str) -> Answer:
        deadline = time.monotonic() + FOUND_SECONDS
        while True:
            answer = await self._shop.get(thing)
            if answer.status != NOT_FOUND or time.monotonic() > deadline:
                return answer
            await asyncio.sleep(FOUND_SECONDS / 20)

    async def receive_stock(
        self, invoices: Callable[[], Iterable[Invoice]], placed: Collection[str], steps: Steps
    ) -> None:
        """Receive what the invoices without an order take, once for each invoice."""

        def sent() -> Iterable[Invoice]:
            return (invoice for invoice in invoices() if not self._impossible(invoice))

        groups = needs(sent(), placed)
        fresh, begun = parted(groups)
        unknown: set[Group] = set()

        async def ask(receipt: Receipt) -> None:
            answer = await receive(self._shop, receipt, only_if_known=True)
            if is_new(answer):
                unknown.add(receipt.group)
            elif not answer.good:
                self.failures.add(f"/v1/stock/{receipt.sku}/receive", answer.problem)

        asked = together(begun)
        if asked:
            await self._all(asked, ask, steps, len(asked))
        await self.receive(together(fresh), steps)
        if unknown:
            single = list(one_by_one(sent(), placed, unknown))
            await self.receive(single, steps)

    async def receive(self, receipts: Collection[Receipt], steps: Steps) -> None:

        async def take(receipt: Receipt) -> None:
            answer = await receive(self._shop, receipt)
            if not answer.good:
                self.failures.add(f"/v1/stock/{receipt.sku}/receive", answer.problem)

        await self._all(receipts, take, steps, len(receipts))

    async def place_orders(
        self,
        invoices: Iterable[Invoice],
        payment: str,
        placed: Mapping[str, Placed],
        total: int,
        steps: Steps,
    ) -> None:
        """Place each invoice as an order, unless it is there; the shop may take them in any order."""

        async def place(invoice: Invoice) -> None:
            order_id = invoice.order_id
            there = placed.get(order_id)
            impossible = self._impossible(invoice) if there is None else ""
            if impossible:
                self.refused[order_id] = impossible
                return
            if there is not None:
                self._compare(invoice, there)
                return
            body = order_body(invoice, self.records.of(invoice.customer, invoice.country), payment)
            needed = self._needed(invoice)
            after = self._tokens.of(needed)
            answer = await self._shop.post(ORDERS, body, key=keyed(ORDERS, order_id, body), after=after)
            if answer.good:
                self._tokens.learn(f"{ORDERS}/{order_id}", answer)
                self._expect(invoice)
                return
            if answer.status == REJECTED:
                document = await self._shop.get(f"{ORDERS}/{order_id}")
                there = placed_of(document.body) if document.good else None
                if there is not None:
                    self._compare(invoice, there)
                    return
            self.failures.add(f"{ORDERS}/{order_id}", answer.problem)
            self.refused[order_id] = answer.problem

        await self._all(invoices, place, steps, total)

    def _expect(self, invoice: Invoice) -> None:
        self.accepted.orders.add(invoice.order_id)
        self.accepted.sales.add(invoice.placed_at.date(), invoice.country, invoice.sales)

    def _compare(self, invoice: Invoice, there: Placed) -> None:
        self._expect(invoice)
        gap = difference(invoice, self._currency, self._digits, there)
        if gap:
            self.changed[invoice.order_id] = gap

    def _needed(self, invoice: Invoice) -> list[str]:
        customer_id = self.records.of(invoice.customer, invoice.country)
        return [f"{CUSTOMERS}/{customer_id}", *(f"{PRODUCTS}/{sku}" for sku in invoice.units_by_sku)]

    def _impossible(self, invoice: Invoice) -> str:
        """Why an invoice cannot become an order: what of it the shop has not taken."""
        if not self._missing:
            return ""
        return next((why for why in map(self._missing.get, self._needed(invoice)) if why), "")

    @property
    def placed(self) -> str:
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


def order_body(invoice: Invoice, customer_id: str, payment: str) -> dict[str, object]:
    """An invoice as the order it was."""
    return {
        "order_id": invoice.order_id,
        "customer_id": customer_id,
        "lines": [
            {"sku": sku, "quantity": units, "unit_price": price} for sku, price, units in invoice.lines
        ],
        "payment_method": payment,
        "placed_at": invoice.placed_at.isoformat(),
    }


async def receive(shop: Shop, receipt: Receipt, *, only_if_known: bool = False) -> Answer:
    """Receive units, or only ask whether they were received."""
    body = {"quantity": receipt.quantity, "reference": receipt.reference}
    if_match = NEVER if only_if_known else ""
    return await shop.post(f"/v1/stock/{receipt.sku}/receive", body, key=receipt.key, if_match=if_match)


def is_new(answer: Answer) -> bool:
    """Whether the shop does not know a receipt that it was only asked about."""
    return answer.status in {STALE, KEY_REUSED}


async def placed_among(shop: Shop, orders: Collection[str], steps: Steps) -> dict[str, Placed]:
    found: dict[str, Placed] = {}
    seen = 0
    async for document in shop.items(ORDERS):
        seen += 1
        steps.at(seen)
        if document["order_id"] in orders:
            placed = placed_of(document)
            if placed is not None:
                found[document["order_id"]] = placed
    steps.at(seen, seen)
    return found
