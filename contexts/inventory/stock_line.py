"""So many units of one SKU: what reservations, parcels and returns are lists of."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from contexts.messages import MAX_LINES, Quantity, Sku


class StockLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """So many units of one SKU."""

    sku: Sku
    quantity: Quantity


StockLines = Annotated[tuple[StockLine, ...], Meta(min_length=1, max_length=MAX_LINES)]
