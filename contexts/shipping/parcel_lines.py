"""What is in a parcel."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from contexts.messages import MAX_LINES, Quantity, Sku


class ParcelLine(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Units of one SKU in a parcel."""

    sku: Sku
    quantity: Quantity


ParcelLines = Annotated[tuple[ParcelLine, ...], Meta(min_length=1, max_length=MAX_LINES)]
