"""/v1/customers: who orders."""

from __future__ import annotations

from typing import Any

from litestar import Router

from contexts.customers.commands import (
    ChangeAddress,
    ChangeEmail,
    CustomersCommand,
    ForgetCustomer,
    RegisterCustomer,
)
from gateway.http.command_route import command_route
from gateway.http.guard import Access
from gateway.http.ownership import Customers, own_customer
from gateway.http.query_route import Asked, AskedPage, Items, query_route
from gateway.http.request import RequestContext
from gateway.problems import NOT_FOUND
from read_models import customers as model
from read_models import orders as orders_model
from read_models.customers import Customer
from read_models.orders import Order
from read_models.projection.documents import Page


@query_route(
    "/{customer_id:str}",
    access=Access.CUSTOMERS_READ,
    model="customers",
    document=Customer,
    customers=Customers.OWN,
    summary="Show a customer",
)
async def get_customer(incoming: RequestContext, _: Asked) -> dict[str, Any] | None:
    """Returns name, e-mail and address; of a forgotten customer only the id is left."""
    customer_id = incoming.key("customer_id")
    own_customer(incoming, customer_id)
    return await model.get(incoming.services.models, incoming.services.contexts.disclose, customer_id)


@query_route(
    "/{customer_id:str}/orders",
    access=Access.ORDERS_READ,
    model="orders",
    document=Items[Order],
    asks=AskedPage,
    customers=Customers.OWN,
    summary="List a customer's orders, newest first",
)
async def list_customer_orders(incoming: RequestContext, asked: AskedPage) -> Page:
    """Returns one page, the latest first; an empty one if the customer has no orders."""
    customer_id = incoming.key("customer_id")
    own_customer(incoming, customer_id)
    return await orders_model.list_newest(
        incoming.services.models,
        customer_id=customer_id,
        limit=asked.limit,
        cursor=asked.cursor,
    )


def about_oneself(incoming: RequestContext, order: CustomersCommand) -> None:
    """Customers speak for themselves alone."""
    own_customer(incoming, order.customer_id)


customers = Router(
    "/v1/customers",
    tags=["customers"],
    route_handlers=[
        get_customer,
        list_customer_orders,
        command_route(
            "/",
            RegisterCustomer,
            access=Access.CUSTOMERS_WRITE,
            id_field="customer_id",
            customers=Customers.OWN,
            check=about_oneself,
            location="/v1/customers/{}",
            generated_fields=("customer_id",),
            summary="Register a customer",
        ),
        command_route(
            "/{customer_id:str}/change-email",
            ChangeEmail,
            access=Access.CUSTOMERS_WRITE,
            id_field="customer_id",
            customers=Customers.OWN,
            check=about_oneself,
            summary="Change a customer's e-mail address",
        ),
        command_route(
            "/{customer_id:str}/change-address",
            ChangeAddress,
            access=Access.CUSTOMERS_WRITE,
            id_field="customer_id",
            customers=Customers.OWN,
            check=about_oneself,
            summary="Change a customer's address",
        ),
        command_route(
            "/{customer_id:str}/forget",
            ForgetCustomer,
            access=Access.CUSTOMERS_WRITE,
            id_field="customer_id",
            customers=Customers.OWN,
            check=about_oneself,
            refusals=(NOT_FOUND,),
            summary="Forget a customer",
        ),
    ],
)
