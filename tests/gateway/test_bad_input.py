"""Whatever does not fit is a clear problem, and no context learns of it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from tests.gateway.conftest import Contexts
from tests.gateway.problems import assert_problem

Json = dict[str, Any]

LINE = {"sku": "MUG", "quantity": 2}
ORDER = {"order_id": "o-1", "customer_id": "c-1", "lines": [LINE], "payment_method": "tok_approve"}
PRODUCT = {"sku": "MUG", "name": "Mug", "unit_price": 850, "currency": "GBP"}


@pytest.fixture(autouse=True)
def nothing_reaches_a_context(contexts: Contexts) -> Iterator[None]:
    """Refused here means refused before anything was sent."""
    yield
    assert contexts.received == []


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b'{"order_id": "o-1",}',
        b"{'order_id': 'o-1'}",
        b'{"order_id": NaN}',
        b"\xff\xfe{}",
        b'{"order_id": "\xff"}',
        b'{"order_id": "\\ud800"}',
        b'{"lines": ' + b"[" * 100_000,
        b'{"order_id": "o-1"} {}',
    ],
    ids=repr,
)
async def test_what_is_no_json_is_malformed(http: httpx.AsyncClient, body: Any) -> None:
    answer = await http.post("/v1/orders", content=body, headers={"Content-Type": "application/json"})
    problem = answer.json()
    assert_problem(answer, 400, problem["type"].rpartition(":")[2])
    assert problem["type"].endswith((":malformed", ":invalid"))


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"lines": [{**LINE, "quantity": 0}]}, "lines[0].quantity"),
        ({"lines": [LINE, {**LINE, "quantity": -3}]}, "lines[1].quantity"),
        ({"lines": [{**LINE, "quantity": 1_000_001}]}, "lines[0].quantity"),
        ({"lines": [{**LINE, "quantity": 10**30}]}, "lines[0].quantity"),
        ({"lines": [{**LINE, "quantity": 1.5}]}, "lines[0].quantity"),
        ({"lines": [{**LINE, "quantity": "2"}]}, "lines[0].quantity"),
        ({"lines": [{**LINE, "quantity": True}]}, "lines[0].quantity"),
        ({"lines": [{**LINE, "sku": "a b"}]}, "lines[0].sku"),
        ({"lines": [{**LINE, "sku": "MUG\n"}]}, "lines[0].sku"),
        ({"lines": [{**LINE, "colour": "red"}]}, "lines[0]"),
        ({"lines": [{"sku": "MUG"}]}, "lines[0]"),
        ({"lines": []}, "lines"),
        ({"lines": [LINE] * 10_000}, "lines"),
        ({"lines": {"MUG": 2}}, "lines"),
        ({"order_id": "o.1"}, "order_id"),
        ({"order_id": "x" * 65}, "order_id"),
        ({"order_id": None}, "order_id"),
        ({"order_id": 7}, "order_id"),
        ({"payment_method": "x" * 65}, "payment_method"),
        ({"placed_at": "2010-12-01T08:26:00"}, "placed_at"),
        ({"placed_at": "yesterday"}, "placed_at"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_a_value_that_does_not_fit_is_named(
    http: httpx.AsyncClient, changed: Json, field: str | None
) -> None:
    problem = assert_problem(await http.post("/v1/orders", json=ORDER | changed), 400, "invalid")
    assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize("scopes", ["orders:write orders:price"])
@pytest.mark.parametrize("placed_at", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
async def test_a_date_without_a_utc_time_is_refused(http: httpx.AsyncClient, placed_at: str) -> None:
    problem = assert_problem(
        await http.post("/v1/orders", json=ORDER | {"placed_at": placed_at}), 400, "invalid"
    )
    assert problem["errors"][0]["field"] == "placed_at"


@pytest.mark.parametrize("body", [ORDER | {"colour": "red"}, ORDER | {"type": "ordering.PlaceOrder"}])
async def test_unknown_fields_are_refused(http: httpx.AsyncClient, body: Any) -> None:
    problem = assert_problem(await http.post("/v1/orders", json=body), 400, "invalid")
    assert "unknown field" in problem["detail"]


@pytest.mark.parametrize("body", [[], "text", 7, None, True])
async def test_a_body_that_is_no_object_is_refused(http: httpx.AsyncClient, body: Any) -> None:
    answer = await http.post(
        "/v1/orders", content=json.dumps(body), headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 400, "invalid")


@pytest.mark.parametrize(
    "changed",
    [
        {"unit_price": 0},
        {"unit_price": -1},
        {"unit_price": 10**12},
        {"unit_price": 8.5},
        {"currency": "pounds"},
        {"currency": "gbp"},
        {"name": ""},
        {"name": "x" * 201},
        {"sku": ""},
        {"sku": "-MUG"},
        {"sku": "MUG/../CUP"},
    ],
)
async def test_a_product_that_does_not_fit_is_refused(http: httpx.AsyncClient, changed: Json) -> None:
    problem = assert_problem(await http.post("/v1/products", json=PRODUCT | changed), 400, "invalid")
    assert problem["errors"][0]["field"] == next(iter(changed))


CAME = {"sku": "MUG", "restocked": 1, "written_off": 1}


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"return_id": "r.1"}, "return_id"),
        ({"return_id": 7}, "return_id"),
        ({"lines": []}, "lines"),
        ({"lines": [CAME] * 2_001}, "lines"),
        ({"lines": [{**CAME, "restocked": -1}]}, "lines[0].restocked"),
        ({"lines": [{**CAME, "written_off": -1}]}, "lines[0].written_off"),
        ({"lines": [CAME, {**CAME, "restocked": 1_000_001}]}, "lines[1].restocked"),
        ({"lines": [{**CAME, "written_off": 1.5}]}, "lines[0].written_off"),
        ({"lines": [{**CAME, "restocked": "1"}]}, "lines[0].restocked"),
        ({"lines": [{**CAME, "quantity": 1}]}, "lines[0]"),
        ({"lines": [{"restocked": 1}]}, "lines[0]"),
        ({"number": 1}, None),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
async def test_what_came_back_must_be_told_in_units(
    http: httpx.AsyncClient, changed: Json, field: str | None
) -> None:
    answer = await http.post("/v1/shipments/o-1/receive-return", json={"return_id": "r1"} | changed)
    problem = assert_problem(answer, 400, "invalid")
    if field is not None:
        assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("withdraw-return", {}),
        ("withdraw-return", {"return_id": None}),
        ("withdraw-return", {"return_id": "r1", "customer_id": "c-1"}),
        ("refuse-return", {"return_id": "r1"}),
        ("refuse-return", {"return_id": "r1", "reason": ""}),
        ("refuse-return", {"reason": "worn"}),
    ],
)
async def test_a_return_is_closed_by_its_name(http: httpx.AsyncClient, what: str, body: Json) -> None:
    assert_problem(await http.post(f"/v1/orders/o-1/{what}", json=body), 400, "invalid")


async def test_a_command_without_fields_takes_none(http: httpx.AsyncClient) -> None:
    answer = await http.post("/v1/products/MUG/discontinue", json={"reason": "old"})
    assert_problem(answer, 400, "invalid")


async def test_a_body_over_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    answer = await http.post(
        "/v1/orders", content=b" " * 1_000_001, headers={"Content-Type": "application/json"}
    )
    assert_problem(answer, 413, "body-too-large")


async def test_a_body_of_unknown_length_over_the_limit_is_refused(http: httpx.AsyncClient) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b" " * 10_000

    answer = await http.post("/v1/orders", content=endless(), headers={"Content-Type": "application/json"})
    assert_problem(answer, 413, "body-too-large")


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Type": "text/plain"},
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "application/json; charset=latin-1"},
        {"Content-Type": "application/json", "Content-Encoding": "gzip"},
        {"Content-Type": ""},
        {"Content-Type": "application/json; charset=utf-8; charset=utf-8"},
        {"Content-Type": 'application/json; charset="utf-16"'},
        {"Content-Type": "application/json, application/json"},
        {"Content-Type": "application/json charset=utf-8"},
        {"Content-Type": "application/merge-patch+json"},
        {"Content-Type": "application/json-patch+json"},
        {"Content-Type": "application/vnd.api+json"},
        {"Content-Type": "application/problem+json"},
        {"Content-Type": "application/jsonlines"},
        {"Content-Type": "text/json"},
    ],
)
async def test_a_body_that_is_not_declared_as_json_is_refused(
    http: httpx.AsyncClient, headers: dict[str, str]
) -> None:
    answer = await http.post("/v1/orders", content=json.dumps(ORDER), headers=headers)
    assert_problem(answer, 415, "unsupported-media-type")
    name, taken = (
        ("Accept-Encoding", "identity")
        if "Content-Encoding" in headers
        else ("Accept-Post", "application/json")
    )
    assert answer.headers[name] == taken


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Consistency-Token", "tomorrow"),
        ("Consistency-Token", "ordering:1"),
        ("Consistency-Token", "ordering:1.16"),
        ("Consistency-Token", "ordering:-1.2"),
        ("Consistency-Token", "nowhere:1.2"),
        ("Consistency-Token", "ordering:99999999999999999999.2"),
        ("Consistency-Token", ",".join(["ordering:1.2"] * 33)),
        ("Prefer", "wait=soon"),
        ("Prefer", "wait=-1"),
        ("Prefer", "wait="),
        ("If-Match", "7"),
        ("Prefer", "wait"),
        ("Prefer", "wait=5 6"),
        ("Prefer", 'wait="5'),
        ("If-Match", ""),
        ("If-Match", ","),
        ("If-Match", '"7'),
        ("If-Match", '"7 "'),
        ("If-Match", '"7" "8"'),
        ("If-Match", 'w/"7"'),
        ("If-Match", '*, "7"'),
        ("If-Match", ",".join(['"7"'] * 33)),
        ("If-None-Match", '"7"'),
        ("If-None-Match", "7"),
        ("Idempotency-Key", ""),
        ("Idempotency-Key", '""'),
        ("Idempotency-Key", '"basket'),
        ("Idempotency-Key", '"basket";a=1'),
        ("Idempotency-Key", '"a", "b"'),
        ("Idempotency-Key", f'"{"x" * 256}"'),
        ("Idempotency-Key", "x" * 256),
        ("Idempotency-Key", "caf\u00e9"),
    ],
)
async def test_a_header_that_makes_no_sense_is_named(http: httpx.AsyncClient, name: str, value: str) -> None:
    answer = await http.post("/v1/orders", json=ORDER, headers={name.encode(): value.encode("latin-1")})
    assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == name


@pytest.mark.parametrize("key", ["a.b", "a%20b", "a%0A", "x" * 65, "-a", "%C3%A9", "a%00"])
async def test_an_id_in_the_path_that_is_none_is_named(http: httpx.AsyncClient, key: Any) -> None:
    answer = await http.post(f"/v1/orders/{key}/cancel", json={"reason": "late"})
    assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == "order_id"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/v1", "/v1/order", "/v1/orders/o-1/eat", "/v2/orders", "/v1/orders/..", "/V1/orders"),
        *(
            "/v1/orders/",
            "/v1//orders",
            "/v1/orders//",
            "/v1/orders/o-1/",
            "/v1/orders/a%2Fb",
            "/v1%2forders",
        ),
    ],
)
async def test_a_path_that_leads_nowhere_is_not_found(http: httpx.AsyncClient, path: str) -> None:
    assert_problem(await http.get(path), 404, "not-found")


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE", "GET"])
async def test_a_method_that_is_not_offered_is_refused_with_those_that_are(
    http: httpx.AsyncClient, method: str
) -> None:
    answer = await http.request(method, "/v1/orders/o-1/cancel")
    assert_problem(answer, 405, "method-not-allowed")
    assert "POST" in answer.headers["Allow"]


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("status=null", "status"),
        ("limit=201", "limit"),
        ("limit=many", "limit"),
        ("status=lost", "status"),
        ("customer_id=a.b", "customer_id"),
        ("cursor=", "cursor"),
        ("cursor=" + "x" * 1001, "cursor"),
        ("colour=red", None),
        ("limit=1&limit=2", None),
        ("limit", None),
        ("status=%ff", None),
        ("limit=1e1", "limit"),
        ("limit=1.0", "limit"),
        ("limit=%2B5", "limit"),
        ("limit=+5", "limit"),
        ("limit=5%20", "limit"),
        ("limit=1_0", "limit"),
        ("limit=0x10", "limit"),
        ("limit=%D9%A3", "limit"),
        ("limit=null", "limit"),
        ("limit=true", "limit"),
        ("limit=" + "9" * 30, "limit"),
        ("limit=", "limit"),
        ("status=", "status"),
        ("customer_id=", "customer_id"),
        ("limit=5&cursor=a&limit=5", None),
        ("l%69mit=1&limit=1", None),
    ],
)
async def test_a_query_that_makes_no_sense_is_refused(
    http: httpx.AsyncClient, query: str, field: str | None
) -> None:
    problem = assert_problem(await http.get(f"/v1/orders?{query}"), 400, "invalid")
    if field is not None:
        assert problem["errors"][0]["field"] == field


@pytest.mark.parametrize("query", ["", "from=2010-12-01", "from=x&to=y", "from=2010-12-02&to=2010-12-01",
                                   "from=1900-01-01&to=2100-01-01",
                                   "from=2010-12-01&to=2010-12-02&country=gb"])  # fmt: skip
async def test_days_that_make_no_sense_are_refused(http: httpx.AsyncClient, query: str) -> None:
    assert_problem(await http.get(f"/v1/sales/daily?{query}"), 400, "invalid")


@pytest.mark.parametrize(
    "text",
    [
        "1700000000",
        "ordering:17",
        "2026-03-01",
        "2026-03-01T14:03:00",
        "2026-03-01 14:03:00Z",
        "2026-03-01T14:03Z",
        "2026-03-01T14:03:00+01:00",
        "2026-03-01T14:03:60Z",
        "2026-02-29T14:03:00Z",
        "2026-03-01T24:00:00Z",
        "2026-03-01T14:03:00%2B24:00",
        "20260301T140300Z",
        "2026-W09-7T14:03:00Z",
        "0001-01-01T00:00:00%2B14:00",
        "9999-12-31T23:59:59-14:00",
        "now",
        "null",
        "",
    ],
)
async def test_what_is_no_time_with_its_offset_is_no_time_to_ask_about(
    http: httpx.AsyncClient, text: str
) -> None:
    answer = await http.get(f"/v1/orders/o-1?as_of={text}")
    assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == "as_of"


@pytest.mark.parametrize("stuck", ["1", "0", "True", "yes", "on", "null", ""])
async def test_what_is_either_so_or_not_is_true_or_false(http: httpx.AsyncClient, stuck: str) -> None:
    answer = await http.get(f"/v1/fulfilments?stuck={stuck}")
    assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == "stuck"


@pytest.mark.parametrize("country", ["UK", "EL", "XX", "ZZ", "EU", "gb", "GBR"])
async def test_sales_are_asked_for_by_countries_there_are(http: httpx.AsyncClient, country: str) -> None:
    answer = await http.get(f"/v1/sales/daily?from=2026-01-01&to=2026-01-31&country={country}")
    problem = assert_problem(answer, 400, "invalid")
    assert problem["errors"][0]["field"] == "country"
    assert country != "UK" or "write GB" in problem["detail"]


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"quantity": 1, "quantity": 2}', "quantity"),
        (b'{"quantity": 1, "quantity": 1}', "quantity"),
        (b'{"quantity": 1, "quantit\\u0079": 1}', "quantity"),
        (b'{"quantity": 1, "reference": "\xc3\xa9", "reference": ""}', "reference"),
    ],
)
async def test_a_field_that_is_there_twice_is_refused(
    http: httpx.AsyncClient, body: bytes, name: str
) -> None:
    answer = await http.post(
        "/v1/stock/MUG/receive", content=body, headers={"Content-Type": "application/json"}
    )
    assert assert_problem(answer, 400, "malformed")["errors"][0]["field"] == name


async def test_a_field_that_is_there_twice_in_a_part_of_the_body_is_refused(http: httpx.AsyncClient) -> None:
    line = b'{"sku":"MUG","quantity":1},{"sku":"CUP","quantity":1,"quantity":10}'
    body = b'{"customer_id":"c-1","lines":[' + line + b'],"payment_method":"tok_approve"}'
    answer = await http.post("/v1/orders", content=body, headers={"Content-Type": "application/json"})
    assert assert_problem(answer, 400, "malformed")["errors"][0]["field"] == "quantity"
