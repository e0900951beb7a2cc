"""HTTP itself: methods, paths, hosts, repeated headers, preferences and traces."""

from __future__ import annotations

import asyncio
import re

import httpx
import pytest

from infra.messages.command_headers import from_headers
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem

ORDER = {
    "customer_id": "c-1",
    "lines": [{"sku": "MUG", "quantity": 1}],
    "payment_method": "tok_approve",
}
OPEN = ["/health/live", "/openapi.json", "/docs", "/metrics"]
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


async def raw(gateway: Gateway, *lines: str) -> httpx.Response:
    """Send a request as it stands; a client library would put it right."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    writer.write("\r\n".join([*lines, "", ""]).encode())
    head = (await reader.readuntil(b"\r\n\r\n")).decode()
    status, *sent = head.strip().split("\r\n")
    headers = httpx.Headers([(name, value) for name, _, value in (line.partition(": ") for line in sent)])
    content = await reader.readexactly(int(headers.get("content-length", 0)))
    writer.close()
    return httpx.Response(int(status.split()[1]), headers=headers, content=content)


@pytest.mark.parametrize("path", OPEN)
async def test_head_is_answered_like_get_without_content(http: httpx.AsyncClient, path: str) -> None:
    asked, told = await http.get(path), await http.head(path)
    assert (told.status_code, told.content) == (200, b"")
    assert told.headers["Content-Type"] == asked.headers["Content-Type"]
    if path != "/metrics":
        assert told.headers["Content-Length"] == asked.headers["Content-Length"]


async def test_head_is_refused_like_get(http: httpx.AsyncClient, gateway: Gateway) -> None:
    assert (await http.head("/v1/orders?limit=x")).status_code == 400
    assert (await http.head("/v1/nothing")).status_code == 404
    async with httpx.AsyncClient(base_url=gateway.url) as anonymous:
        assert (await anonymous.head("/v1/orders")).status_code == 401


async def test_a_method_is_counted_under_its_own_name(http: httpx.AsyncClient) -> None:
    await http.head("/v1/sales/daily")
    counted = (await http.get("/metrics")).text
    assert re.search(r'http_requests_total\{.*method="HEAD".*route="/v1/sales/daily".*', counted)


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/orders", "GET, HEAD, OPTIONS, POST"),
        ("/v1/orders/o-1", "GET, HEAD, OPTIONS"),
        ("/v1/orders/o-1/cancel", "OPTIONS, POST"),
        ("/v1/webhooks/payments", "OPTIONS, POST"),
        ("/health/live", "GET, HEAD, OPTIONS"),
    ],
)
async def test_allow_tells_the_truth(gateway: Gateway, path: str, methods: str) -> None:
    """Anybody may ask: it tells no more than the description does."""
    async with httpx.AsyncClient(base_url=gateway.url) as anonymous:
        told = await anonymous.options(path)
        assert (told.status_code, told.content, told.headers["Allow"]) == (204, b"", methods)
        for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"):
            answer = await anonymous.request(method, path)
            assert (answer.status_code == 405) == (method not in methods), method
            if method == "BREW":
                assert_problem(answer, 405, "method-not-allowed")
            if answer.status_code == 405:
                assert answer.headers["Allow"] == methods


async def test_the_whole_server_tells_its_methods(gateway: Gateway) -> None:
    told = await raw(gateway, "OPTIONS * HTTP/1.1", "Host: a")
    assert (told.status_code, told.headers["Allow"]) == (204, "GET, HEAD, OPTIONS, POST")


async def test_no_method_is_offered_where_there_is_nothing(http: httpx.AsyncClient) -> None:
    assert_problem(await http.options("/v1/nothing"), 404, "not-found")


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        ["Host:"],
        ["Host: a", "Host: b"],
        ["Host: a", "Host: a"],
        ["Host: a b"],
        ["Host: a/b"],
        ["Host: http://a"],
        ["Host: a:http"],
        ["Host: me@a"],
    ],
)
async def test_without_one_host_nothing_is_done(gateway: Gateway, hosts: list[str]) -> None:
    for line in ("GET /health/live HTTP/1.1", "GET /v1/orders HTTP/1.1", "GET /nothing HTTP/1.1"):
        problem = assert_problem(await raw(gateway, line, *hosts), 400, "malformed")
        assert problem["errors"][0]["field"] == "Host"


@pytest.mark.parametrize("host", ["a", "example.org:8080", "127.0.0.1", "[::1]:8080", "a_b-c~1", "a:"])
async def test_a_host_with_or_without_a_port_is_one(gateway: Gateway, host: str) -> None:
    assert (await raw(gateway, "GET /health/live HTTP/1.1", f"Host: {host}")).status_code == 200


async def test_http_1_0_knows_no_host(gateway: Gateway) -> None:
    assert (await raw(gateway, "GET /health/live HTTP/1.0")).status_code == 200


@pytest.mark.parametrize("coding", ["gzip, chunked", "chunked\r\nTransfer-Encoding: chunked"])
async def test_a_body_that_is_packed_on_its_way_is_refused(gateway: Gateway, coding: str) -> None:
    answer = await raw(
        gateway, "POST /v1/orders HTTP/1.1", "Host: a", f"Transfer-Encoding: {coding}", "", "0"
    )
    assert_problem(answer, 501, "not-implemented")


@pytest.mark.parametrize(
    ("name", "first", "second"),
    [
        ("Authorization", "Bearer a", "Bearer b"),
        ("Authorization", "Bearer a", "Bearer a"),
        ("Content-Type", "application/json", "application/json"),
        ("Content-Type", "text/plain", "application/json"),
        ("Idempotency-Key", "a", "b"),
        ("Idempotency-Key", "a", "a"),
        ("webhook-id", "a", "b"),
    ],
)
async def test_what_is_said_once_is_not_said_twice(
    gateway: Gateway, contexts: Contexts, name: str, first: str, second: str
) -> None:
    async with httpx.AsyncClient(base_url=gateway.url) as client:
        headers = [(name, first), (name.lower(), second)]
        answer = await client.post("/v1/orders", content=b"{}", headers=headers)
    problem = assert_problem(answer, 400, "malformed")
    assert problem["errors"] == [{"field": name, "message": f"{name} is sent twice"}]
    assert contexts.received == []


@pytest.mark.parametrize(
    "content_type",
    [
        "application/json",
        "application/json;",
        "application/json ; ;",
        "application/json;;charset=utf-8",
        "application/json; charset=UTF-8",
        'application/json;charset="utf-8"',
        'APPLICATION/JSON; Charset="UTF-8"; version=1',
        'application/json; note="a;b, \\"c\\""',
    ],
)
async def test_json_is_known_in_every_spelling(
    http: httpx.AsyncClient, contexts: Contexts, content_type: str
) -> None:
    body = b'{"quantity": 1}'
    answer = await http.post(
        "/v1/stock/MUG/receive",
        content=body,
        headers={"Content-Type": content_type, "Content-Encoding": "identity"},
    )
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("lines", "seconds"),
    [
        (["wait=20"], 20),
        (["wait=20, wait=9"], 20),
        (["wait=20", "wait=9"], 20),
        (["respond-async", "wait=20"], 20),
        (["WAIT = 20 ; a=b"], 20),
        (['wait="20"'], 20),
        (['note="a, wait=9", wait=20'], 20),
        (["handling=lenient; wait=9, wait=20"], 20),
        ([",, wait=20 ,"], 20),
        (['return=minimal; foo="wait=9";;x', "wait=20"], 20),
        (["wait=300"], 30),
        (["wait=020"], 20),
    ],
)
async def test_the_first_wait_of_all_preferences_counts(
    http: httpx.AsyncClient, contexts: Contexts, lines: list[str], seconds: int
) -> None:
    answer = await http.post("/v1/orders", json=ORDER, headers=[("Prefer", line) for line in lines])
    assert answer.headers["Preference-Applied"] == f"wait={seconds}"
    envelope = from_headers(contexts.received[0].headers)
    assert (envelope.deadline - envelope.time).total_seconds() == seconds


@pytest.mark.parametrize("preference", ["respond-async", "return=minimal", "foo; wait=9", ""])
async def test_a_preference_that_is_not_known_changes_nothing(
    http: httpx.AsyncClient, contexts: Contexts, preference: str
) -> None:
    answer = await http.post("/v1/orders", json=ORDER, headers={"Prefer": preference})
    assert answer.status_code == 201
    assert "Preference-Applied" not in answer.headers


@pytest.mark.parametrize(
    "given",
    [
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"ff-{TRACE}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}-01-more",
        f"00-{TRACE}-{SPAN}-01-",
        f"00-{TRACE.upper()}-{SPAN}-01",
        f"00-{TRACE}-{SPAN}",
        f"01-{TRACE}-{SPAN}-01more",
        f"0-{TRACE}-{SPAN}-01",
        "",
    ],
)
async def test_a_trace_that_is_none_is_not_continued(
    http: httpx.AsyncClient, contexts: Contexts, given: str
) -> None:
    answer = await http.post("/v1/orders", json=ORDER, headers={"traceparent": given})
    envelope = from_headers(contexts.received[0].headers)
    assert envelope.traceparent == ""
    assert answer.headers["X-Correlation-Id"] not in {TRACE, "0" * 32}


async def test_two_traces_are_none(http: httpx.AsyncClient, contexts: Contexts) -> None:
    line = ("traceparent", f"00-{TRACE}-{SPAN}-01")
    await http.post("/v1/orders", json=ORDER, headers=[line, line])
    assert from_headers(contexts.received[0].headers).traceparent == ""


@pytest.mark.parametrize("given", [f"cc-{TRACE}-{SPAN}-01", f"01-{TRACE}-{SPAN}-01-what-there-may-be"])
async def test_a_trace_of_a_later_version_is_continued(
    http: httpx.AsyncClient, contexts: Contexts, given: str
) -> None:
    await http.post("/v1/orders", json=ORDER, headers={"traceparent": given})
    assert from_headers(contexts.received[0].headers).traceparent == f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (["vendor=opaque,other@system=1"], "vendor=opaque,other@system=1"),
        (["vendor=opaque", "other=1"], "vendor=opaque,other=1"),
        (["vendor=opaque , ,other=1"], "vendor=opaque,other=1"),
        (["not a member"], ""),
        (["same=1,same=2"], ""),
        ([f"vendor={'x' * 600}"], ""),
        ([""], ""),
    ],
)
async def test_the_state_of_a_trace_goes_with_it_if_it_is_one(
    http: httpx.AsyncClient, contexts: Contexts, given: list[str], kept: str
) -> None:
    parent = f"00-{TRACE}-{SPAN}-01"
    headers = [("traceparent", parent), *(("tracestate", value) for value in given)]
    await http.post("/v1/orders", json=ORDER, headers=headers)
    envelope = from_headers(contexts.received[0].headers)
    assert (envelope.traceparent, envelope.tracestate) == (parent, kept)


@pytest.mark.parametrize("given", ["", f"00-{'0' * 32}-{SPAN}-01"])
async def test_the_state_of_no_trace_is_dropped(
    http: httpx.AsyncClient, contexts: Contexts, given: str
) -> None:
    headers = {"traceparent": given, "tracestate": "vendor=opaque"}
    await http.post("/v1/orders", json=ORDER, headers=headers)
    envelope = from_headers(contexts.received[0].headers)
    assert (envelope.traceparent, envelope.tracestate) == ("", "")


async def test_two_correlation_ids_are_none(http: httpx.AsyncClient, contexts: Contexts) -> None:
    headers = [("X-Correlation-Id", "a"), ("X-Correlation-Id", "b")]
    answer = await http.post("/v1/orders", json=ORDER, headers=headers)
    assert answer.headers["X-Correlation-Id"] not in {"a", "b"}


async def test_an_instance_is_the_path_as_it_was_sent(http: httpx.AsyncClient, issuer: Issuer) -> None:
    answer = await http.get("/v1/orders/caf%C3%A9%20%22?limit=1")
    assert assert_problem(answer, 400, "invalid")["instance"] == "/v1/orders/caf%C3%A9%20%22"
