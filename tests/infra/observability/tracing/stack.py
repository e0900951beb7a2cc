"""The whole system as real processes that trace, and a shop that orders there."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

from infra.embedded.stack import EmbeddedStack
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.support.shop import Shop

SCOPES = (
    *("catalog:read", "catalog:write", "stock:read", "stock:write", "customers:read", "customers:write"),
    *("orders:read", "orders:write", "shipments:read", "shipments:write", "operate"),
)


@contextlib.asynccontextmanager
async def tracing_shop(
    folder: Path, endpoint: str, sampling: float = 1.0
) -> AsyncIterator[tuple[Shop, EmbeddedStack]]:
    """A shop with MUG on sale and ada as its customer; the stack ends with it."""
    environ = {"ORDERFOLD_OTLP_ENDPOINT": endpoint, "ORDERFOLD_TRACE_SAMPLING": str(sampling)}
    async with EmbeddedStack(folder, port=free_port(), environ=environ) as stack:
        settings = stack.settings
        token = SigningKeys.load(stack.folder.keys).mint(
            SCOPES,
            subject="shop",
            lifetime=timedelta(hours=1),
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        )
        async with Shop(stack.url, token) as shop:
            await shop.stock("MUG", 10_000)
            await shop.customer("ada")
            yield shop, stack


def order(order_id: str) -> dict[str, object]:
    """One mug for ada."""
    lines = [{"sku": "MUG", "quantity": 1}]
    return {"order_id": order_id, "customer_id": "ada", "lines": lines, "payment_method": "tok_approve"}
