"""What only the system itself can name or sign, put into the requests that schemathesis makes up.

A made-up consistency token is waited for and then answered 503, rightly: it is the position of nothing. So
tokens are taken from earlier answers, and any 5xx that is left is a defect. Versions and cursors, too, are
what the system called them.
"""

from __future__ import annotations

import json
import os
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import requests
import schemathesis
from requests.auth import AuthBase
from schemathesis.core.failures import Failure
from schemathesis.core.parameters import ParameterLocation
from schemathesis.openapi.checks import RejectedPositiveData

from gateway.openapi.headers import REQUEST_HEADERS
from infra.security.webhook_signature import read_secret, sign

KEY = read_secret(Path(os.environ["WEBHOOK_SECRET"]))
FORMS = {name: re.compile(header["schema"].get("pattern", ".*")) for name, header in REQUEST_HEADERS.items()}
SIGNATURE = {"webhook-id", "webhook-timestamp", "webhook-signature"}
NAMES = {"Consistency-Token": "consistency-token", "If-Match": "etag", "If-None-Match": "etag"}
"""Headers of requests that take what a header of an earlier answer said."""
BEYOND_SCHEMAS = re.compile(
    "as_of is in the future"
    "|`to` is before `from`"
    "|at most 3,660 days may be asked for at once"
    "|placed_at is not between 1970 and 9998"
    "|U\\+[0-9A-F]{4,6} (is|overrides) .*"
    "|there is nothing to see in it at .*"
    "|an e-mail address has at most .*"
    # A pattern of all preferences there may be takes seconds to make one up from.
    "|Prefer: it is a list of preferences.*"
    "|Prefer: wait is a whole number.*"
    "|leap seconds are not known here.*"
    # Texts are composed before their length is looked at, and may then have another one.
    "|Expected `str` matching regex .* at email"
    "|q is empty; leave it out"
    "|there is no such time between the years 1 and 9999.*"
    # To a JSON schema 1.0 is an integer.
    "|Expected `int.*`, got `float`.*"
)
"""What is said against values that are true to the description."""

SPARED = {
    "POST /v1/customers/{customer_id}/forget": ("customer_id", "ann", "gone"),
    "POST /v1/products/{sku}/discontinue": ("sku", "MUG", "OLD"),
}
"""Whom there must be if orders are to be placed, and who is asked about instead."""

Case = schemathesis.Case[Any]

given: dict[str, str] = {}
"""The last of each, by the header's name or the list's."""


class Signed(AuthBase):
    """A request signed as the payment provider's are."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        body = request.body or b""
        content = body.encode() if isinstance(body, str) else body
        assert isinstance(content, bytes)
        request.headers.update(sign(KEY, str(request.headers["webhook-id"]), datetime.now(UTC), content))
        return request


@schemathesis.hook
def before_call(_: schemathesis.HookContext, case: Case, kwargs: dict[str, Any]) -> None:
    """Have what is well-formed be genuine, too."""
    well_formed = {name for name, value in case.headers.items() if name in FORMS and FORMS[name].match(value)}
    for name in NAMES:
        if name == "If-None-Match" and case.method.upper() != "GET":
            # A command takes `*` alone, and no If-Match beside it; of two forms only one is made up here.
            if name in case.headers and is_positive(case):
                replace(case.headers, name, None if "If-Match" in case.headers else "*")
            continue
        # Without a shape it can make up, schemathesis takes any text for one.
        if name in case.headers and (name in well_formed or is_positive(case)):
            replace(case.headers, name, given.get(name))
    field, spared, instead = SPARED.get(case.operation.label, ("", "", ""))
    if case.path_parameters.get(field) == spared:
        case.path_parameters[field] = instead
    if case.operation.label == "POST /v1/orders" and isinstance(case.body, dict) and is_positive(case):
        # Harvested ids are of orders that there are.
        case.body.pop("order_id", None)
    if well_formed >= SIGNATURE:
        kwargs["auth"] = Signed()
    if "cursor" in case.query and is_positive(case, ParameterLocation.QUERY):
        replace(case.query, "cursor", given.get(case.operation.label))


@schemathesis.hook
def after_call(_: schemathesis.HookContext, case: Case, response: schemathesis.Response) -> None:
    """Remember what was named."""
    for name, header in NAMES.items():
        for value in response.headers.get(header, ()):
            given[name] = value
    if case.operation.label.startswith("GET /v1/") and response.status_code == 200:
        following = json.loads(response.content).get("next")
        if following is not None:
            given[case.operation.label] = following


@schemathesis.hook
def filter_failure(
    _: schemathesis.HookContext,
    failure: Failure,
    case: Case,
    response: schemathesis.Response,
) -> bool:
    """Whether it is one, and no rule about values that a JSON schema cannot tell."""
    if not isinstance(failure, RejectedPositiveData) or response.status_code != 400:
        return True
    return BEYOND_SCHEMAS.fullmatch(json.loads(response.content)["detail"]) is None


def is_positive(case: Case, location: ParameterLocation | None = None) -> bool:
    """Whether it is meant to be true to the description: the whole, or at least this part."""
    meta = case.meta
    assert meta is not None
    return meta.generation.mode.is_positive or (location is not None and not meta.is_negative_at(location))


def replace(values: Any, name: str, value: str | None) -> None:
    """Set it, or leave it out."""
    if value is None:
        values.pop(name)
    else:
        values[name] = value
