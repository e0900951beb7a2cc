"""Texts, codes and times of commands: what is taken is what the client meant, or it is refused."""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from typing import Any

import httpx
import msgspec
import pytest

from contexts.catalog.events import ProductAdded
from contexts.customers.events import CustomerRegistered
from contexts.messages import wire_name
from gateway.http.values import check_of
from tests.gateway.conftest import Contexts
from tests.gateway.fuzz.asking import ABOUT, DESCRIPTION, FITTING, OPERATIONS
from tests.gateway.problems import assert_problem

Json = dict[str, Any]

ADDRESS = {"line1": "1 Quay", "line2": "", "city": "Bristol", "postcode": "BS1 4DJ", "country": "GB"}
PERSON = {"customer_id": "ada", "name": "Ada", "email": "ada@example.org", "address": ADDRESS}
PRODUCT = {"sku": "MUG", "name": "Mug", "unit_price": 850, "currency": "GBP"}
ORDER = {"customer_id": "c-1", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "tok_approve"}
LINES = [{"sku": "MUG", "quantity": 1}]

TEXTS: list[tuple[str, Json, str]] = [
    ("/v1/products", PRODUCT, "name"),
    ("/v1/products/MUG/rename", {"name": "Mug"}, "name"),
    ("/v1/customers", PERSON, "name"),
    ("/v1/customers", PERSON, "address.line1"),
    ("/v1/customers", PERSON, "address.line2"),
    ("/v1/customers", PERSON, "address.city"),
    ("/v1/customers", PERSON, "address.postcode"),
    ("/v1/customers/ada/change-address", {"address": ADDRESS}, "address.line1"),
    ("/v1/stock/MUG/receive", {"quantity": 1, "reference": "x"}, "reference"),
    ("/v1/stock/MUG/adjust", {"delta": 1, "reason": "x"}, "reason"),
    ("/v1/orders/o-1/cancel", {"reason": "x"}, "reason"),
    ("/v1/orders/o-1/return", {"lines": LINES, "reason": "x"}, "reason"),
    ("/v1/shipments/o-1/dispatch", {"carrier": "DHL", "tracking": "1"}, "carrier"),
    ("/v1/shipments/o-1/dispatch", {"carrier": "DHL", "tracking": "1"}, "tracking"),
    ("/v1/fulfilments/o-1/abandon", {"reason": "x"}, "reason"),
]
"""Every text there is, each in a body that fits."""


def having(body: Json, place: str, value: Any) -> Json:
    """The body with another value at a place."""
    name, _, rest = place.partition(".")
    return {**body, name: value if not rest else having(body[name], rest, value)}


def at(body: Json, place: str) -> Any:
    name, _, rest = place.partition(".")
    return body[name] if not rest else at(body[name], rest)


@pytest.mark.parametrize(("path", "body", "place"), TEXTS)
async def test_a_text_that_cannot_be_read_alike_by_everybody_is_refused(
    http: httpx.AsyncClient, contexts: Contexts, path: str, body: Json, place: str
) -> None:
    for text in [
        " ",
        "\u00a0\u2003\u3000",
        "\u200b",
        "\u200b \u200d\ufeff",
        "\u00ad",
        "\u2800",
        "\u3164",
        "\u0301",
        "a\x00b",
        "a\nb",
        "a\tb",
        "\x1b[31m",
        "a\x7f",
        "a\u0085b",
        "a\u2028b",
        "a\u2029b",
        "\u202egpj.exe",
        "a\u202ab\u202c",
        "a\u2066b\u2069",
        "a\ufffe",
        "a\ufdd0",
        "a\U0001ffff",
        "a\u0378",
        "a\ue000",
    ]:
        answer = await http.post(path, json=having(body, place, text))
        problem = assert_problem(answer, 400, "invalid")
        assert problem["errors"][0]["field"] == place, (ascii(text), problem)
    assert contexts.received == []


@pytest.mark.parametrize(("path", "body", "place"), TEXTS)
async def test_half_a_character_is_no_text(
    http: httpx.AsyncClient, contexts: Contexts, path: str, body: Json, place: str
) -> None:
    content = json.dumps(having(body, place, "a\ud800b"))
    answer = await http.post(path, content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert contexts.received == []


@pytest.mark.parametrize(("path", "body", "place"), TEXTS)
async def test_a_text_is_passed_on_in_one_form(
    http: httpx.AsyncClient, contexts: Contexts, path: str, body: Json, place: str
) -> None:
    for text in ["Cafe\u0301", "\u1112\u1161\u11ab", "\u212b", "\u1e9b\u0323"]:
        answer = await http.post(path, json=having(body, place, text))
        assert answer.is_success, answer.text
        assert at(contexts.bodies[-1], place) == unicodedata.normalize("NFC", text)


@pytest.mark.parametrize(
    "name",
    [
        "Zoë",
        "O'Brien & Söhne «Nr. 1»",
        "渡辺",
        "مُحَمَّد\u200f",
        "\u0645\u06cc\u200c\u062e\u0648",
        "👩\u200d👩\u200d👧",
        "🏴\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f",
        "-",
        "\u200eA",
        "x" * 200,
    ],
)
async def test_names_of_all_scripts_are_taken(http: httpx.AsyncClient, contexts: Contexts, name: str) -> None:
    answer = await http.post("/v1/products", json=PRODUCT | {"name": name})
    assert answer.status_code == 201, answer.text
    assert contexts.bodies[0]["name"] == name


async def test_a_text_is_as_long_as_its_normal_form(http: httpx.AsyncClient, contexts: Contexts) -> None:
    taken = await http.post("/v1/products", json=PRODUCT | {"name": "e\u0301" * 200})
    assert taken.status_code == 201, taken.text
    assert contexts.bodies[0]["name"] == "é" * 200
    # U+0958 is two characters in its normal form.
    refused = await http.post("/v1/products", json=PRODUCT | {"name": "\u0958" * 101})
    assert assert_problem(refused, 400, "invalid")["errors"][0]["field"] == "name"


async def test_two_forms_of_one_text_are_one_request(http: httpx.AsyncClient, contexts: Contexts) -> None:
    for name in ("Caf\u00e9", "Cafe\u0301"):
        body = PRODUCT | {"name": name}
        answer = await http.post("/v1/products", json=body, headers={"Idempotency-Key": "coffee"})
        assert answer.status_code == 201
    first, second = contexts.received
    assert (first.data, contexts.ids[0]) == (second.data, contexts.ids[1])


@pytest.mark.parametrize("name", [field for _, _, field in TEXTS[:1]])
async def test_escaped_characters_are_characters(
    http: httpx.AsyncClient, contexts: Contexts, name: str
) -> None:
    content = json.dumps(PRODUCT | {name: "Cafe\u0301"}).encode()
    assert content.isascii()
    await http.post("/v1/products", content=content, headers={"Content-Type": "application/json"})
    assert contexts.bodies[0][name] == "Café"


@pytest.mark.parametrize(
    ("country", "hint"),
    [
        ("UK", "write GB"),
        ("EL", "write GR"),
        *((code, "ISO 3166-1") for code in ("XX", "ZZ", "EU", "AN", "SU")),
    ],
)
async def test_a_country_is_one_of_iso_3166(
    http: httpx.AsyncClient, contexts: Contexts, country: str, hint: str
) -> None:
    address = ADDRESS | {"country": country}
    for path, body in [
        ("/v1/customers", PERSON | {"address": address}),
        ("/v1/customers/ada/change-address", {"address": address}),
    ]:
        problem = assert_problem(await http.post(path, json=body), 400, "invalid")
        assert problem["errors"][0]["field"] == "address.country"
        assert hint in problem["detail"]
    assert contexts.received == []


@pytest.mark.parametrize(
    "currency", ["XYZ", "UYW", "UYI", "CLF", "XXX", "XTS", "XAU", "XDR", "USN", "CHE", "DEM", "UKP", "BTC"]
)
async def test_a_currency_is_one_of_iso_4217_that_is_paid_in(
    http: httpx.AsyncClient, contexts: Contexts, currency: str
) -> None:
    answer = await http.post("/v1/products", json=PRODUCT | {"currency": currency})
    problem = assert_problem(answer, 400, "invalid")
    assert problem["errors"][0]["field"] == "currency"
    assert contexts.received == []


@pytest.mark.parametrize("currency", ["GBP", "EUR", "USD", "JPY", "KWD", "XOF", "CHF", "UYU", "MRU"])
async def test_currencies_with_and_without_decimals_are_taken(
    http: httpx.AsyncClient, contexts: Contexts, currency: str
) -> None:
    assert (await http.post("/v1/products", json=PRODUCT | {"currency": currency})).status_code == 201


def test_events_keep_the_codes_they_were_written_with() -> None:
    """Lists change, and what was once taken is read for ever."""
    product = ProductAdded(sku="MUG", name=" ", unit_price=1, currency="XYZ")
    assert msgspec.json.decode(msgspec.json.encode(product), type=ProductAdded) == product
    customer = {"type": wire_name(CustomerRegistered), "customer_id": "ada", "country": "UK"}
    data = msgspec.json.encode({**customer, "personal": PERSON_OF_OLD})
    read = msgspec.json.decode(data, type=CustomerRegistered)
    assert (read.country, msgspec.to_builtins(read.personal)["email"]) == ("UK", "a@b")


class Note(msgspec.Struct):
    """A type that says nothing of its text."""

    words: str | None = None


class Notes(msgspec.Struct):
    """Such texts in a list."""

    notes: tuple[Note, ...]


PERSON_OF_OLD = {"name": "\u200b", "email": "a@b", "address": ADDRESS | {"country": "UK", "city": "\x07"}}


@pytest.mark.parametrize(
    "email",
    [
        "ada@example.org",
        "Ada.Byron+shop@mail.example.co.uk",
        "o'brien@example.org",
        "用户@例子.公司",
        "a" * 64 + "@example.org",
    ],
)
async def test_an_e_mail_address_is_taken(http: httpx.AsyncClient, contexts: Contexts, email: str) -> None:
    answer = await http.post("/v1/customers/ada/change-email", json={"email": email})
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    "email",
    [
        "ada",
        "ada@",
        "@example.org",
        "ada@localhost",
        "ada@@example.org",
        "ada@example..org",
        "ada@.example.org",
        "ada@example.org.",
        "ada@-example.org",
        "ada@example-.org",
        ".ada@example.org",
        "ada.@example.org",
        "a..b@example.org",
        "<ada@example.org>",
        "ada@example.org,bob@example.org",
        "ada@example.org;x",
        "a(b)@example.org",
        "ada@[127.0.0.1]",
        "ada@127.0.0.1",
        "ada @example.org",
        "ada\u202e@example.org",
        "ada\u200b@example.org\x00",
        "ada@exa\u2028mple.org",
        "ada@example.org\n",
        "a" * 65 + "@example.org",
        "é" * 33 + "@example.org",
        "a@" + ".".join(["x" * 63] * 4),
        "a@" + "x" * 64 + ".org",
    ],
)
async def test_what_no_mail_can_be_sent_to_is_refused(
    http: httpx.AsyncClient, contexts: Contexts, email: str
) -> None:
    for path, body in [
        ("/v1/customers", PERSON | {"email": email}),
        ("/v1/customers/ada/change-email", {"email": email}),
    ]:
        problem = assert_problem(await http.post(path, json=body), 400, "invalid")
        assert problem["errors"][0]["field"] == "email"
    assert contexts.received == []


@pytest.mark.parametrize("scopes", ["orders:write orders:price"])
@pytest.mark.parametrize(
    ("placed_at", "passed_on"),
    [
        ("2010-12-31T23:59:59.9999999Z", "2010-12-31T23:59:59.999999Z"),
        ("2010-12-01T08:26:00.0000000Z", "2010-12-01T08:26:00Z"),
        ("2010-12-01t08:26:00.5z", "2010-12-01T08:26:00.500000Z"),
        ("2010-12-01T08:26:00-00:00", "2010-12-01T08:26:00Z"),
        ("2011-01-01T00:30:00+01:00", "2011-01-01T00:30:00+01:00"),
        ("1970-01-01T00:00:00Z", "1970-01-01T00:00:00Z"),
        ("1969-12-31T20:00:00-05:00", "1969-12-31T20:00:00-05:00"),
        ("9998-12-31T23:59:59.9999999Z", "9998-12-31T23:59:59.999999Z"),
        ("9999-01-01T01:00:00+14:00", "9999-01-01T01:00:00+14:00"),
        ("2010-12-01T08:26:00+23:59", "2010-12-01T08:26:00+23:59"),
    ],
)
async def test_a_time_is_cut_off_at_the_microsecond(
    http: httpx.AsyncClient, contexts: Contexts, placed_at: str, passed_on: str
) -> None:
    answer = await http.post("/v1/orders", json=ORDER | {"placed_at": placed_at})
    assert answer.status_code == 201, answer.text
    assert contexts.bodies[0]["placed_at"] == passed_on


@pytest.mark.parametrize("scopes", ["orders:write orders:price"])
@pytest.mark.parametrize(
    "placed_at",
    [
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+00:01",
        "1970-01-01T13:59:59+14:00",
        "9999-01-01T00:00:00Z",
        "9998-12-31T23:59:59-00:01",
        "9999-12-31T23:59:59.9999999Z",
        "0001-01-01T00:00:00Z",
        "0000-01-01T00:00:00Z",
        "2016-12-31T23:59:60Z",
        "2010-12-01T08:26:00+24:00",
        "2010-12-01T08:26:00+01:60",
        "2010-12-01T08:26:00+0100",
        "2010-12-01T08:26:00+01",
        "2010-12-01T24:00:00Z",
        "2010-12-01T08:26:00,5Z",
        "2010-12-01T08:26:00.Z",
        "2010-12-01 08:26:00Z",
        "2010-12-01T08:26Z",
        "2010-12-01",
        "2010-335T08:26:00Z",
        "2010-W48-3T08:26:00Z",
        "20101201T082600Z",
        "1291191960",
        "٢٠١٠-12-01T08:26:00Z",
        "2010-02-30T08:26:00Z",
        "",
    ],
)
async def test_what_is_no_time_an_order_can_be_placed_at_is_refused(
    http: httpx.AsyncClient, contexts: Contexts, placed_at: str
) -> None:
    answer = await http.post("/v1/orders", json=ORDER | {"placed_at": placed_at})
    assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == "placed_at"
    assert contexts.received == []


def texts(value: Any, schema: Json, place: str = "") -> Iterator[str]:
    """Where a body has texts that are described as nothing more."""
    name = schema.get("$ref", "").rpartition("/")[2]
    described = DESCRIPTION["components"]["schemas"][name] if name else schema
    if isinstance(value, dict):
        for field, item in value.items():
            yield from texts(item, described["properties"][field], f"{place}.{field}".lstrip("."))
    elif isinstance(value, str) and not {"pattern", "enum", "anyOf", "format"} & described.keys():
        yield place


def every_text() -> Iterator[Any]:
    for name, (ids, body) in FITTING.items():
        operation = OPERATIONS[name]
        schema = operation.described["requestBody"]["content"]["application/json"]["schema"]
        if operation.scope is not None:
            for place in texts(body or {}, schema):
                path = operation.path.format(**{**ABOUT, **ids})
                yield pytest.param(path, body, place, id=f"{name}-{place}")


@pytest.mark.parametrize(("path", "body", "place"), list(every_text()))
async def test_no_text_that_is_described_is_forgotten(
    http: httpx.AsyncClient, contexts: Contexts, path: str, body: Json, place: str
) -> None:
    for text in ("a\x00b", "\u200b", "\u202eb"):
        answer = await http.post(path, json=having(body, place, text))
        assert assert_problem(answer, 400, "invalid")["errors"][0]["field"] == place
    assert contexts.received == []


def test_a_text_without_a_rule_of_its_own_is_held_to_the_rule_for_texts() -> None:
    """A new field cannot be forgotten."""
    check = check_of(Notes)
    assert check is not None
    check(Notes((Note(), Note("fine"))), "")
    with pytest.raises(Exception, match=r"U\+0000 is a control character at notes\[1\].words"):
        check(Notes((Note("fine"), Note("\x00"))), "")
