"""The read models there are."""

from __future__ import annotations

from typing import Any

from read_models.customers import CUSTOMERS
from read_models.fulfilments import FULFILMENTS
from read_models.orders import ORDERS
from read_models.products import PRODUCTS
from read_models.projection.model import ReadModel
from read_models.sales import SALES
from read_models.shipments import SHIPMENTS
from read_models.stock import STOCK

MODELS: dict[str, ReadModel[Any]] = {
    model.name: model for model in (ORDERS, PRODUCTS, STOCK, CUSTOMERS, SHIPMENTS, SALES, FULFILMENTS)
}
"""Every read model by its name."""
