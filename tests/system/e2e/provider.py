"""The sandbox payment provider's own books."""

from __future__ import annotations

from typing import Any

import httpx


async def charged(provider: httpx.AsyncClient, order_id: str) -> dict[str, Any]:
    """What the provider's own books say of an order; empty if they say nothing."""
    payments = (await provider.get("/ledger")).json()["payments"]
    return next((dict(payment) for payment in payments if payment["order_id"] == order_id), {})
