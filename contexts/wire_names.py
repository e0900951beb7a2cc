"""The wire names of every event this build knows, by the context that records it."""

from __future__ import annotations

import typing
from collections.abc import Mapping
from typing import Any

from contexts.catalog.events import CatalogEvent
from contexts.customers.events import CustomersEvent
from contexts.fulfilment.events import FulfilmentEvent
from contexts.inventory.events import InventoryEvent
from contexts.messages import wire_name
from contexts.ordering.events import OrderingEvent
from contexts.payments.events import PaymentsEvent
from contexts.shipping.events import ShippingEvent

_UNIONS: Mapping[str, Any] = {
    "catalog": CatalogEvent,
    "customers": CustomersEvent,
    "fulfilment": FulfilmentEvent,
    "inventory": InventoryEvent,
    "ordering": OrderingEvent,
    "payments": PaymentsEvent,
    "shipping": ShippingEvent,
}

EVENTS: Mapping[str, frozenset[str]] = {
    context: frozenset(wire_name(kind) for kind in typing.get_args(union))
    for context, union in _UNIONS.items()
}
"""What is not in it was recorded by a newer build."""
