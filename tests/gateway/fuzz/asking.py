"""One request of each operation that is carried out in the furnished shop, and one that a rule forbids."""

from __future__ import annotations

from typing import Any

from gateway.app import make_litestar, make_services
from gateway.openapi.document import document
from infra.settings import Settings
from tests.gateway.fuzz.shop import PARCEL
from tests.support.examples import ADDRESS

Json = dict[str, Any]

PERSON = {"name": "Ada Byron", "email": "ada@example.org", "address": ADDRESS}
MUG = {"sku": "MUG", "name": "Product MUG", "unit_price": 950, "currency": "GBP"}
RETURN = {"return_id": "r1", "lines": [{"sku": "MUG", "quantity": 1}], "reason": "chipped"}
ORDER = {"order_id": "new", "customer_id": "bob", "lines": [{"sku": "MUG", "quantity": 1}]}


class Operation:
    """What the description says of a method at a path."""

    def __init__(self, path: str, method: str, described: Json) -> None:
        self.path = path
        self.method = method
        self.described = described
        self.name = str(described["operationId"])

    @property
    def scope(self) -> str | None:
        """What a token must allow; None if there is no token."""
        return next((wanted["bearer"][0] for wanted in self.described["security"]), None)

    @property
    def statuses(self) -> list[int]:
        return [int(status) for status in self.described["responses"]]

    def takes(self, header: str) -> bool:
        """Whether a request may have this header."""
        return {"$ref": f"#/components/parameters/{header}"} in self.described["parameters"]


DESCRIPTION: Json = document(make_litestar(make_services(Settings())).routes, "0")
OPERATIONS = {
    operation.name: operation
    for path, methods in DESCRIPTION["paths"].items()
    for method, described in methods.items()
    for operation in [Operation(path, method, described)]
}

FITTING: dict[str, tuple[dict[str, str], Any]] = {
    "addProduct": ({}, MUG),
    "renameProduct": ({"sku": "OLD"}, {"name": "Old"}),
    "repriceProduct": ({"sku": "OLD"}, {"unit_price": 1}),
    "discontinueProduct": ({"sku": "OLD"}, None),
    "reinstateProduct": ({"sku": "MUG"}, None),
    "receiveStock": ({"sku": "MUG"}, {"quantity": 1}),
    "adjustStock": ({"sku": "MUG"}, {"delta": 1, "reason": "counted"}),
    "registerCustomer": ({}, {"customer_id": "ann", **PERSON}),
    "changeEmail": ({"customer_id": "bob"}, {"email": "bob@example.org"}),
    "changeAddress": ({"customer_id": "bob"}, {"address": ADDRESS}),
    "forgetCustomer": ({"customer_id": "gone"}, None),
    "placeOrder": ({}, {**ORDER, "payment_method": "tok_approve"}),
    "cancelOrder": ({"order_id": "cancelled"}, {"reason": "changed my mind"}),
    "requestReturn": ({"order_id": "completed"}, RETURN),
    "dispatchShipment": ({"order_id": "dispatched"}, PARCEL),
    "deliverShipment": ({"order_id": "dispatched"}, None),
    "withdrawReturn": ({"order_id": "returning"}, {"return_id": "kept"}),
    "refuseReturn": ({"order_id": "returning"}, {"return_id": "worn", "reason": "worn"}),
    "receiveReturn": (
        {"order_id": "returning"},
        {"return_id": "sent", "lines": [{"sku": "MUG", "restocked": 1}]},
    ),
    "retryFulfilment": ({"order_id": "stuck"}, None),
    "abandonFulfilment": ({"order_id": "abandoned"}, {"reason": "settled by hand"}),
    "settleFulfilment": ({"order_id": "unsettled"}, {"reason": "paid in the shop", "payment": "outside"}),
    "resumeFulfilment": ({"order_id": "resumed"}, {"reason": "found again"}),
    "paymentWebhook": ({}, {"type": "payment.authorized", "data": {"order_id": "confirmed"}}),
}
"""The path and the body of what is carried out."""

FORBIDDEN: dict[str, tuple[dict[str, str], Any]] = {
    "addProduct": ({}, MUG | {"unit_price": 1}),
    "adjustStock": ({"sku": "MUG"}, {"delta": -1_000_000, "reason": "counted"}),
    "registerCustomer": ({}, {"customer_id": "ann", **PERSON, "name": "Ann"}),
    "changeEmail": ({"customer_id": "gone"}, {"email": "gone@example.org"}),
    "changeAddress": ({"customer_id": "gone"}, {"address": ADDRESS}),
    "placeOrder": ({}, {**ORDER, "customer_id": "nobody", "payment_method": "tok_approve"}),
    "cancelOrder": ({"order_id": "completed"}, {"reason": "changed my mind"}),
    "requestReturn": ({"order_id": "confirmed"}, RETURN),
    "dispatchShipment": ({"order_id": "dispatched"}, PARCEL | {"tracking": "T2"}),
    "deliverShipment": ({"order_id": "confirmed"}, None),
    "withdrawReturn": ({"order_id": "returning"}, {"return_id": "none"}),
    "refuseReturn": ({"order_id": "returning"}, {"return_id": "none", "reason": "worn"}),
    "receiveReturn": ({"order_id": "confirmed"}, None),
    "retryFulfilment": ({"order_id": "confirmed"}, None),
    "abandonFulfilment": ({"order_id": "completed"}, {"reason": "settled by hand"}),
    "settleFulfilment": ({"order_id": "completed"}, {"reason": "paid in the shop", "payment": "outside"}),
    "resumeFulfilment": ({"order_id": "completed"}, {"reason": "found again"}),
}
"""The same of what a rule forbids."""

OTHERWISE: dict[str, tuple[dict[str, str], Any]] = {
    **{name: FORBIDDEN[name] for name in ("addProduct", "registerCustomer", "placeOrder")},
    "receiveStock": ({"sku": "MUG"}, {"quantity": 2}),
    "adjustStock": ({"sku": "MUG"}, {"delta": 2, "reason": "counted"}),
    "changeEmail": ({"customer_id": "bob"}, {"email": "robert@example.org"}),
    "changeAddress": ({"customer_id": "bob"}, {"address": ADDRESS | {"line1": "2 Quay"}}),
}
"""Something else than what fits, of those that are not simply asked about something else."""

ABOUT = {"sku": "MUG", "customer_id": "ann", "order_id": "completed"}
"""What a question is about, or a command that nobody said more of."""
NOTHING = dict.fromkeys(ABOUT, "nothing")
QUERIES = {"listDailySales": {"from": "2026-01-01", "to": "2026-01-31"}}
"""Query strings of those that cannot do without."""
