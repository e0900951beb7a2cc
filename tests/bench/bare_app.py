"""The least an HTTP service can do with an order: decode it, answer 201."""

from __future__ import annotations

import msgspec
from litestar import Litestar, post


class Line(msgspec.Struct):
    sku: str
    quantity: int


class Order(msgspec.Struct):
    order_id: str
    customer_id: str
    lines: list[Line]
    payment_method: str


@post("/v1/orders")
async def place(data: Order) -> dict[str, object]:
    """Answer as Orderfold does, without doing anything."""
    return {"order_id": data.order_id, "version": 1, "position": "ordering:1.0"}


app = Litestar([place], openapi_config=None)
