"""What ordering has heard of products and customers: the terms on which an order is placed."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import assert_never

import msgspec

from contexts.catalog.events import (
    CatalogEvent,
    ProductAdded,
    ProductDiscontinued,
    ProductReinstated,
    ProductRenamed,
    ProductRepriced,
)
from contexts.customers.events import (
    AddressChanged,
    CustomerForgotten,
    CustomerRegistered,
    CustomersEvent,
    EmailChanged,
)
from contexts.messages import Country, Currency, Name, Price, Rejected, Sku
from contexts.ordering.commands import PlaceOrder
from contexts.ordering.order_lines import OrderLine, WantedLine


class ListedProduct(msgspec.Struct, frozen=True):
    """A product as it can be ordered; prices in minor units."""

    name: Name
    unit_price: Price
    currency: Currency
    discontinued: bool = False


class KnownCustomer(msgspec.Struct, frozen=True):
    """A customer as far as an order needs one: nothing here identifies a person."""

    country: Country
    forgotten: bool = False


class Terms(msgspec.Struct, frozen=True):
    """What an order is placed on: the products and the customer as they are known, and the moment."""

    products: Mapping[Sku, ListedProduct]
    customer: KnownCustomer | None
    time: datetime


class Priced(msgspec.Struct, frozen=True):
    """An order's lines with names and prices, all in one currency, and the country they are sold to."""

    lines: tuple[OrderLine, ...]
    total: int
    currency: Currency
    country: Country


MOST_MONEY = 10**11
"""An order's total in minor units: what a payment may be of."""

MOST_UNITS = 1_000_000
"""Of one product in one order."""


def price(command: PlaceOrder, terms: Terms) -> Priced:
    """The order as it would be sold; raises Rejected with what stands against it."""
    customer = terms.customer
    if customer is None:
        raise Rejected(f"customer {command.customer_id} is not registered")
    if customer.forgotten:
        raise Rejected(f"customer {command.customer_id} has been forgotten")
    products = {line.sku: _listed(line.sku, terms.products) for line in command.lines}
    first = products[command.lines[0].sku]
    for sku, product in products.items():
        if product.currency != first.currency:
            raise Rejected(
                f"product {sku} is sold in {product.currency}, others of this order in {first.currency}"
            )
    lines = tuple(_line(line, products[line.sku]) for line in command.lines)
    return Priced(lines, _total(lines), first.currency, customer.country)


def _listed(sku: Sku, products: Mapping[Sku, ListedProduct]) -> ListedProduct:
    product = products.get(sku)
    if product is None:
        raise Rejected(f"product {sku} is not on the price list")
    if product.discontinued:
        raise Rejected(f"product {sku} is discontinued")
    return product


def _line(wanted: WantedLine, product: ListedProduct) -> OrderLine:
    agreed = product.unit_price if wanted.unit_price is None else wanted.unit_price
    return OrderLine(sku=wanted.sku, name=product.name, quantity=wanted.quantity, unit_price=agreed)


def _total(lines: tuple[OrderLine, ...]) -> int:
    units: dict[Sku, int] = {}
    total = 0
    for line in lines:
        total += line.quantity * line.unit_price
        units[line.sku] = units.get(line.sku, 0) + line.quantity
    for sku, quantity in units.items():
        if quantity > MOST_UNITS:
            raise Rejected(f"more than {MOST_UNITS} units of product {sku}")
    if total > MOST_MONEY:
        raise Rejected(f"an order's total may be at most {MOST_MONEY} minor units; this one's is {total}")
    return total


def list_product(product: ListedProduct | None, event: CatalogEvent) -> ListedProduct:
    """The price list's entry after one more fact from the catalog."""
    match event:
        case ProductAdded():
            return ListedProduct(event.name, event.unit_price, event.currency)
        case _ if product is None:
            raise ValueError(f"{event!r} without a ProductAdded before it")
        case ProductRenamed():
            return msgspec.structs.replace(product, name=event.name)
        case ProductRepriced():
            return msgspec.structs.replace(product, unit_price=event.unit_price)
        case ProductDiscontinued():
            return msgspec.structs.replace(product, discontinued=True)
        case ProductReinstated():
            return msgspec.structs.replace(product, discontinued=False)
        case _:
            assert_never(event)


def know_customer(customer: KnownCustomer | None, event: CustomersEvent) -> KnownCustomer | None:
    """What ordering knows of a customer after one more fact."""
    match event:
        case CustomerRegistered() | AddressChanged():
            return KnownCustomer(event.country)
        case CustomerForgotten():
            return msgspec.structs.replace(customer, forgotten=True) if customer else None
        case EmailChanged():
            return customer
        case _:
            assert_never(event)
