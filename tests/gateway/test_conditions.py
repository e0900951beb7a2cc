"""Conditions: a command for one version of a thing, and answers that the client has already."""

from __future__ import annotations

import httpx
import pytest

from infra.messages.command_headers import from_headers
from infra.messages.commands import RefusalKind, Refused
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.problems import assert_problem
from tests.gateway.test_queries import come_to, gateway, settings

__all__ = ["come_to", "gateway", "settings"]

CANCEL = "/v1/orders/42/cancel"
REASON = {"reason": "late"}
DOCUMENTS = [
    "/v1/products/MUG",
    "/v1/stock/MUG",
    "/v1/customers/ann",
    "/v1/orders/42",
    "/v1/shipments/42",
    "/v1/fulfilments/42",
]
LISTS = [
    "/v1/products",
    "/v1/stock",
    "/v1/orders",
    "/v1/customers/ann/orders",
    "/v1/shipments",
    "/v1/fulfilments",
    "/v1/sales/daily?from=2010-12-01&to=2010-12-31",
]


@pytest.mark.parametrize(
    ("tags", "versions"),
    [
        ('"7"', (7,)),
        ('"7", "8"', (7, 8)),
        (',"7",, "8",', (7, 8)),
        ('"7-00aa11bb22cc33dd"', (7,)),
        ('"0"', (0,)),
        ('W/"7"', ()),
        ('W/"7", "8"', (8,)),
        ('"02"', ()),
        ('"seven"', ()),
        ('"7-abc"', ()),
        ('""', ()),
        ('"a,b"', ()),
        ('"*"', ()),
        ('"' + "9" * 30 + '"', ()),
    ],
)
async def test_if_match_names_the_versions_a_command_is_for(
    http: httpx.AsyncClient, contexts: Contexts, tags: str, versions: tuple[int, ...]
) -> None:
    await http.post(CANCEL, json=REASON, headers={"If-Match": tags})
    envelope = from_headers(contexts.received[0].headers)
    assert (envelope.expected_versions, envelope.must_exist) == (versions, False)


async def test_if_match_in_several_lines_is_one_list(http: httpx.AsyncClient, contexts: Contexts) -> None:
    await http.post(CANCEL, json=REASON, headers=[("If-Match", '"7"'), ("If-Match", '"8"')])
    assert from_headers(contexts.received[0].headers).expected_versions == (7, 8)


async def test_if_match_with_an_asterisk_is_for_what_there_is(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    await http.post(CANCEL, json=REASON, headers={"If-Match": "*"})
    envelope = from_headers(contexts.received[0].headers)
    assert (envelope.expected_versions, envelope.must_exist) == (None, True)


async def test_if_none_match_with_an_asterisk_is_for_what_there_is_not(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    body = {"customer_id": "c-1", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "tok_approve"}
    await http.post("/v1/orders", json=body, headers={"If-None-Match": "*"})
    assert from_headers(contexts.received[0].headers).expected_versions == (0,)


async def test_if_match_and_if_none_match_together_are_refused(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    headers = {"If-Match": '"1"', "If-None-Match": "*"}
    assert_problem(await http.post(CANCEL, json=REASON, headers=headers), 400, "invalid")
    assert contexts.received == []


async def test_what_has_changed_since_is_told_with_its_version(
    http: httpx.AsyncClient, contexts: Contexts
) -> None:
    contexts.answers = lambda _: Refused(RefusalKind.STALE, "the version is 9", version=9)
    answer = await http.post(CANCEL, json=REASON, headers={"If-Match": '"7"'})
    assert assert_problem(answer, 412, "stale-version")["version"] == 9


@pytest.mark.parametrize("path", DOCUMENTS + LISTS)
async def test_an_answer_the_client_has_already_is_not_sent_again(
    http: httpx.AsyncClient, gateway: Gateway, path: str
) -> None:
    tag = (await http.get(path)).headers["ETag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*", f'W/"other" ,{tag},'):
        answer = await http.get(path, headers={"If-None-Match": known})
        assert (answer.status_code, answer.content) == (304, b""), known
        assert answer.headers["ETag"] == tag
        assert answer.headers["Cache-Control"] == "no-store"
        assert "content-type" not in answer.headers


@pytest.mark.parametrize("path", DOCUMENTS + LISTS)
async def test_another_answer_than_the_client_has_is_sent(
    http: httpx.AsyncClient, gateway: Gateway, path: str
) -> None:
    """A version alone does not say it: an order's document changes with its payment, too."""
    for known in ('"other"', '"1"', 'W/"1-0000000000000000"'):
        answer = await http.get(path, headers={"If-None-Match": known})
        assert answer.status_code == 200, known


async def test_a_tag_is_of_one_answer(http: httpx.AsyncClient, gateway: Gateway) -> None:
    tags = [(await http.get(path)).headers["ETag"] for path in (*DOCUMENTS, "/v1/orders?limit=2", *LISTS)]
    # The orders of the one customer are all the orders there are.
    assert len(set(tags)) == len(tags) - 1


@pytest.mark.parametrize("path", ["/v1/orders/42", "/v1/orders"])
async def test_a_query_that_wants_one_answer_only_gets_no_other(
    http: httpx.AsyncClient, gateway: Gateway, path: str
) -> None:
    tag = (await http.get(path)).headers["ETag"]
    for wanted in (tag, f'"other", {tag}', "*"):
        assert (await http.get(path, headers={"If-Match": wanted})).status_code == 200
    for wanted in ('"other"', f"W/{tag}"):
        assert_problem(await http.get(path, headers={"If-Match": wanted}), 412, "stale-version")


@pytest.mark.parametrize("name", ["If-Match", "If-None-Match"])
@pytest.mark.parametrize("tags", ["7", '"7', "", '*, "7"', 'w/"7"'])
async def test_tags_that_are_none_are_refused_by_queries(
    http: httpx.AsyncClient, gateway: Gateway, name: str, tags: str
) -> None:
    answer = await http.get("/v1/orders/42", headers={name: tags})
    assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == name


async def test_what_is_not_there_is_not_found_whatever_the_client_has(
    http: httpx.AsyncClient, gateway: Gateway
) -> None:
    assert_problem(await http.get("/v1/orders/nobody", headers={"If-None-Match": "*"}), 404, "not-found")
