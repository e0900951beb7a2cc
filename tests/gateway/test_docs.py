"""The description is true, whole, and needs nothing from elsewhere."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Gateway
from tests.gateway.test_access import every_route
from tests.support.deadlines import HOLDS_SECONDS

Json = dict[str, Any]


@pytest.fixture
async def description(gateway: Gateway) -> Json:
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        answer = await client.get("/openapi.json")
        assert answer.headers["content-type"] == "application/json"
        found: Json = answer.json()
        return found


def operations(description: Json) -> list[tuple[str, str, Json]]:
    return [
        (method, path, operation)
        for path, methods in description["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_route_is_described_with_its_scope(description: Json) -> None:
    described = {(method.upper(), re.sub(r"{.*?}", "x", path)) for method, path, _ in operations(description)}
    assert described == {(method, path) for method, path, _ in every_route()}
    assert description["openapi"].startswith("3.1")
    wanted = {
        (method.upper(), path): operation["security"] for method, path, operation in operations(description)
    }
    assert wanted["POST", "/v1/orders"] == [{"bearer": ["orders:write"]}]
    assert wanted["GET", "/health/live"] == []


def test_every_reference_leads_somewhere(description: Json) -> None:
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if "$ref" in value:
                yield value["$ref"]
            for item in value.values():
                yield from walk(item)
        elif isinstance(value, list):
            for item in value:
                yield from walk(item)

    references = set(walk(description))
    assert references
    for reference in references:
        place = description
        for step in reference.removeprefix("#/").split("/"):
            place = place[step]


def test_bodies_refuse_unknown_fields_and_say_so(description: Json) -> None:
    schemas = description["components"]["schemas"]
    for method, path, operation in operations(description):
        if method == "post" and not path.startswith("/v1/webhooks"):
            schema = operation["requestBody"]["content"]["application/json"]["schema"]
            name = schema["$ref"].rpartition("/")[2]
            assert schemas[name]["additionalProperties"] is False, name
    order = schemas["PlaceOrder"]
    assert order["required"] == ["customer_id", "lines", "payment_method"]
    assert order["properties"]["order_id"]["pattern"] == "^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$"
    assert order["properties"]["lines"]["maxItems"] == 2000


def test_every_operation_names_its_problems(description: Json) -> None:
    for _, path, operation in operations(description):
        assert "500" in operation["responses"], path
        if operation["security"]:
            assert {"401", "403", "503"} <= operation["responses"].keys(), path
    placing = description["paths"]["/v1/orders"]["post"]["responses"]
    assert set(placing) == {
        "201",
        "400",
        "401",
        "403",
        "408",
        "409",
        "412",
        "413",
        "415",
        "422",
        "429",
        "500",
        "501",
        "503",
    }
    assert "Location" in placing["201"]["headers"]
    assert "application/problem+json" in placing["422"]["content"]


def test_every_operation_has_a_description_and_a_described_tag(description: Json) -> None:
    """The linters say so, too, where they are installed."""
    about = {tag["name"]: tag["description"] for tag in description["tags"]}
    for _, path, operation in operations(description):
        assert operation["summary"], path
        assert operation["description"], path
        assert all(about[tag] for tag in operation["tags"]), path
        assert all(item.get("description", "$ref" in item) for item in operation["parameters"]), path


def test_every_scope_that_an_operation_needs_is_listed(description: Json) -> None:
    listed = description["components"]["securitySchemes"]["bearer"]["x-scopes"]
    needed = {
        scope
        for _, _, operation in operations(description)
        for wanted in operation["security"]
        for scope in wanted["bearer"]
    }
    assert needed <= listed.keys()


def test_operations_have_names_of_their_own(description: Json) -> None:
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(names) == len(set(names))


def test_every_process_describes_the_api_in_the_same_order(description: Json) -> None:
    """The framework keeps a path's methods in no order."""
    for methods in description["paths"].values():
        assert list(methods) == sorted(methods)


async def test_the_page_needs_nothing_from_elsewhere(gateway: Gateway, description: Json) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        answer = await client.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    page = answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert not re.search(r"(src|href|action)\s*=\s*[\"']?\s*(https?:)?//", page)
    assert not re.search(r"<(script|link|img|iframe|object)|@import|url\(", page)
    for _, path, operation in operations(description):
        assert f'id="{operation["operationId"]}"' in page
        assert path in page
    anchors = set(re.findall(r'id="([^"]+)"', page))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= anchors
