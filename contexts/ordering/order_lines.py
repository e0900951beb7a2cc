"""The lines of an order as they are asked for, as they were placed, and as they count in sales."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from contexts.messages import MAX_LINES, Amount, Country, Currency, Name, Price, Quantity, Sku, Time

ReceivedUnits = Annotated[int, Meta(ge=0, le=1_000_000)]


class WantedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A line as asked for; `unit_price` (minor units) only for callers who may agree prices."""

    sku: Sku
    quantity: Quantity
    unit_price: Price | None = None


class OrderLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line as placed: the name and the unit price (minor units) of that moment."""

    sku: Sku
    name: Name
    quantity: Quantity
    unit_price: Price


class ReceivedLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one SKU that came back: those to be sold again, and those that no one can sell any more."""

    sku: Sku
    restocked: ReceivedUnits = 0
    written_off: ReceivedUnits = 0


class Sale(msgspec.Struct, frozen=True, kw_only=True):
    """What a fact adds to the sales of the day the order was placed, or takes back from them.

    `amount` is in minor units; `orders` is 0 for a return that leaves part of the order sold.
    """

    placed_at: Time
    country: Country
    currency: Currency
    orders: int
    units: int
    amount: Amount


WantedLines = Annotated[tuple[WantedLine, ...], Meta(min_length=1, max_length=MAX_LINES)]
ReceivedLines = Annotated[tuple[ReceivedLine, ...], Meta(min_length=1, max_length=MAX_LINES)]
