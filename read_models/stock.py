"""What is in stock? One document per SKU: units on hand, reserved and available."""

from __future__ import annotations

from typing import Any, assert_never

import msgspec

from contexts.inventory.events import (
    StockAdjusted,
    StockAllocated,
    StockFreed,
    StockIssued,
    StockReceived,
    StockRestocked,
)
from read_models.projection.documents import Page, ReadModels
from read_models.projection.model import Occurrence, ReadModel, Source, latest

StockEvent = StockReceived | StockAdjusted | StockAllocated | StockFreed | StockIssued | StockRestocked
"""What happens to one SKU; the rest of inventory's events are about orders."""


class Stock(msgspec.Struct, frozen=True, kw_only=True):
    """Units of one SKU; `available` is what is on hand and not reserved. `version` of the stock's stream."""

    sku: str
    on_hand: int = 0
    reserved: int = 0
    available: int = 0
    updated_at: str | None = None
    version: int = 0


def project(document: Stock | None, occurrence: Occurrence) -> Stock:
    """The stock after one more event."""
    stock = document or Stock(sku=occurrence.key)
    on_hand, reserved = changes(occurrence.event)
    return msgspec.structs.replace(
        stock,
        on_hand=stock.on_hand + on_hand,
        reserved=stock.reserved + reserved,
        available=stock.available + on_hand - reserved,
        updated_at=latest(stock.updated_at, occurrence.time),
        version=occurrence.version,
    )


def changes(event: StockEvent) -> tuple[int, int]:
    """By how many units an event changes what is on hand and what is reserved."""
    match event:
        case StockReceived() | StockRestocked():
            return event.quantity, 0
        case StockAdjusted():
            return event.delta, 0
        case StockAllocated():
            return 0, event.quantity
        case StockFreed():
            return 0, -event.quantity
        case StockIssued():
            return -event.quantity, -event.quantity
        case _:
            assert_never(event)


STOCK = ReadModel(name="stock", sources=(Source("inventory", StockEvent),), document=Stock, project=project)


async def get(models: ReadModels, sku: str) -> dict[str, Any] | None:
    """A SKU's stock, if there ever was any."""
    return await models.get(STOCK, sku)


async def list_by_sku(models: ReadModels, *, limit: int = 50, cursor: str | None = None) -> Page:
    """Every SKU's stock; raises CursorInvalid."""
    return await models.page(STOCK, limit=limit, cursor=cursor)
