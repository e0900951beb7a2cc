"""JSON schemas of what goes in and comes out, from the types it is decoded as and encoded from."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable
from typing import Any

import msgspec

from contexts.messages import Key
from gateway.http.route_contract import Contract
from gateway.http.values import DESCRIBED
from gateway.problems import ProblemDetails

REFERENCE = "#/components/schemas/{name}"

PARAMETERS = {
    "order_id": "The order's id",
    "customer_id": "The customer's id",
    "sku": "The product's SKU",
    "status": "Only those with this status",
    "stage": "Only those in this stage",
    "stuck": "Only those that wait for an operator (`true`), or that do not (`false`)",
    "from": "The first day (UTC)",
    "to": "The last day (UTC), included",
    "country": "Only orders from this country, an ISO 3166-1 alpha-2 code",
}
"""What a parameter of a path or a query string is, unless its type says so."""


class Schemas:
    """The schemas of all types the routes name; made together, so that two types of one name stay apart."""

    def __init__(self, contracts: Iterable[Contract]) -> None:
        bodies = [
            kind for contract in contracts for kind in (contract.body, contract.answer) if kind is not None
        ]
        kinds = tuple(dict.fromkeys([*bodies, ProblemDetails]))
        schemas, self._components = msgspec.json.schema_components(kinds, ref_template=REFERENCE)
        self._references = dict(zip(kinds, schemas, strict=True))

    def reference(self, kind: Any) -> dict[str, Any]:
        """A type's schema, by reference if it has a name."""
        found: dict[str, Any] = plain(self._references[kind])
        return found

    def components(self) -> dict[str, Any]:
        """Every type there is a reference to."""
        return {name: plain(described) for name, described in sorted(self._components.items())}


def path_parameter(name: str) -> dict[str, Any]:
    """An id in a path."""
    schema = plain(msgspec.json.schema(Key))
    about = PARAMETERS.get(name) or schema["description"]
    return {"name": name, "in": "path", "required": True, "description": about, "schema": schema}


def query_parameters(asks: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """The fields of what a query string is decoded as."""
    schema = msgspec.json.schema(asks)
    described = schema["$defs"]
    fields = described[asks.__name__]
    found = []
    for name, field in fields["properties"].items():
        shown = without_null(plain(field), described)
        about = PARAMETERS.get(name) or shown.get("description", "")
        required = name in fields.get("required", ())
        found.append(
            {"name": name, "in": "query", "required": required, "description": about, "schema": shown}
        )
    return found


def plain(schema: Any) -> Any:
    """The schema in other people's words: patterns and docstrings hold things that only Python needs."""
    if isinstance(schema, dict):
        described = {key: REWORDED.get(key, plain)(value) for key, value in schema.items()}
        stricter = DESCRIBED.get(str(schema.get("format")), {})
        return {key: value for key, value in described.items() if not stricter or key != "pattern"} | stricter
    return [plain(item) for item in schema] if isinstance(schema, list) else schema


def without_null(schema: dict[str, Any], described: dict[str, Any]) -> dict[str, Any]:
    """A query parameter is left out, never null; what it refers to is put in its place."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    found: dict[str, Any]
    (found,) = kinds or [{key: value for key, value in schema.items() if value is not None}]
    if "$ref" in found:
        found = plain(described[found["$ref"].rpartition("/")[2]])
    return found


def elsewhere(pattern: str) -> str:
    """A pattern in ECMA 262's words, as JSON schemas have them.

    There `$` never matches before a final newline, and fewer characters are spaces.
    """
    return pattern.removesuffix(r"(?!\n)").replace(r"[^@\s]", r"[^@\s\x1c-\x1f\x85]")


REWORDED: dict[str, Callable[[Any], Any]] = {
    "pattern": elsewhere,
    "description": inspect.cleandoc,
}
