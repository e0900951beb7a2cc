"""The contexts there are, by name."""

from __future__ import annotations

from contexts import catalog, customers, fulfilment, inventory, ordering, payments, shipping

CONTEXTS = tuple(
    module.__name__.rpartition(".")[2]
    for module in (catalog, customers, inventory, ordering, payments, shipping, fulfilment)
)
