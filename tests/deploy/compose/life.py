"""An order's life, as its customer and the staff see it."""

from __future__ import annotations

import asyncio
import json

from tests.deploy.compose.stack import Stack
from tests.support.examples import ADDRESS
from tests.support.shop import Shop

SEARCHED = {"nats", "mongo", "postgres"}
"""Whose files there are."""


async def delivered(shop: Shop, payment: str = "tok_approve") -> int:
    """Have an order placed, paid, sent and delivered; what was paid for it."""
    await shop.stock("TEAPOT", 10, price=950)
    await shop.customer("ada")
    await shop.order("life-1", "ada", {"TEAPOT": 3}, payment)
    await shop.stage_becomes("life-1", "awaiting-dispatch")
    await shop.do("/v1/shipments/life-1/dispatch", {"carrier": "Royal Mail", "tracking": "RM1"})
    await shop.order_becomes("life-1", "dispatched")
    await shop.do("/v1/shipments/life-1/deliver")
    order = await shop.order_becomes("life-1", "completed")
    return int(order["payment"]["captured"])


async def nothing_is_left_of_the_forgotten(stack: Stack, shop: Shop) -> None:
    """Forget a customer, and have every database and every file searched for what was known of the person."""
    person = {"name": "Éloïse Quatremère", "email": "eloise.quatremere@example.org", "address": ADDRESS}
    await shop.do("/v1/customers", {"customer_id": "eloise", **person})
    await shop.do("/v1/customers/eloise/forget")
    texts = (person["name"], person["email"])
    found = json.loads(await asyncio.to_thread(stack.auditor, "eloise", *map(str, texts)))
    assert found["erased"], found
    assert found["folders"][0]["by_folder"].keys() >= SEARCHED
    # Or its silence would mean nothing: the id is what is left.
    there = json.loads(await asyncio.to_thread(stack.auditor, "eloise", "customer-eloise", check=False))
    places = " ".join(item["place"] for item in there["found"])
    for place in ("/data/nats/", "/data/postgres/", "of PostgreSQL postgres:5432/customers"):
        assert place in places
