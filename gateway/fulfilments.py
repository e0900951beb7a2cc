"""/v1/fulfilments: what the saga is doing for each order, for operators."""

from __future__ import annotations

from typing import Any

from litestar import Router

from contexts.fulfilment.commands import (
    AbandonFulfilment,
    ResumeFulfilment,
    RetryFulfilment,
    SettleFulfilment,
)
from contexts.fulfilment.events import Stage
from gateway.http.command_route import command_route
from gateway.http.guard import Access
from gateway.http.query_route import Asked, AskedPage, Items, query_route
from gateway.http.request import RequestContext
from read_models import fulfilments as model
from read_models.fulfilments import Fulfilment
from read_models.projection.documents import Page


class AskedFulfilments(AskedPage, frozen=True, kw_only=True):
    """Which fulfilments are wanted; `stuck` while a failure waits for an operator."""

    stage: Stage | None = None
    stuck: bool | None = None


@query_route(
    "/",
    access=Access.OPERATE,
    model="fulfilments",
    document=Items[Fulfilment],
    asks=AskedFulfilments,
    summary="List fulfilments by order",
)
async def list_fulfilments(incoming: RequestContext, asked: AskedFulfilments) -> Page:
    """Returns one page, sorted by order id. `stuck=true` selects those that wait for an operator."""
    return await model.list_by_order(
        incoming.services.models,
        stage=None if asked.stage is None else str(asked.stage),
        stuck=asked.stuck,
        limit=asked.limit,
        cursor=asked.cursor,
    )


@query_route(
    "/{order_id:str}",
    access=Access.OPERATE,
    model="fulfilments",
    document=Fulfilment,
    summary="Show an order's fulfilment",
)
async def get_fulfilment(incoming: RequestContext, _: Asked) -> dict[str, Any] | None:
    """Returns the stage, the last problem, and what an abandoned order holds. 404 if the order is unknown."""
    return await model.get(incoming.services.models, incoming.key("order_id"))


fulfilments = Router(
    "/v1/fulfilments",
    tags=["fulfilments"],
    route_handlers=[
        list_fulfilments,
        get_fulfilment,
        command_route(
            "/{order_id:str}/retry",
            RetryFulfilment,
            access=Access.OPERATE,
            id_field="order_id",
            summary="Try again what could not be done",
        ),
        command_route(
            "/{order_id:str}/abandon",
            AbandonFulfilment,
            access=Access.OPERATE,
            id_field="order_id",
            summary="Stop a stuck fulfilment",
        ),
        command_route(
            "/{order_id:str}/settle",
            SettleFulfilment,
            access=Access.OPERATE,
            id_field="order_id",
            summary="Settle the money and the stock of an abandoned fulfilment",
        ),
        command_route(
            "/{order_id:str}/resume",
            ResumeFulfilment,
            access=Access.OPERATE,
            id_field="order_id",
            summary="Take an abandoned fulfilment up again",
        ),
    ],
)
