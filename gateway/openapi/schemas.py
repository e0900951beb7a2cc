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


def key_schema() -> dict[str, Any]:
    """What an id looks like."""
    found: dict[str, Any] = plain(msgspec.json.schema(Key))
    return found


def query_parameters(asks: type[msgspec.Struct]) -> list[dict[str, Any]]:
    """The fields of what a query string is decoded as."""
    schema = msgspec.json.schema(asks)
    described = schema["$defs"]
    fields = described[asks.__name__]
    return [
        {
            "name": name,
            "in": "query",
            "required": name in fields.get("required", ()),
            "schema": without_null(plain(field), described),
        }
        for name, field in fields["properties"].items()
    ]


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
