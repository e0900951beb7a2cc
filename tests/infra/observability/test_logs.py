"""A day of the whole system in its logs: whose order it was can be followed, but not who that is."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from contexts import NAMES
from infra.embedded.stack import EmbeddedStack
from infra.mongo import Mongo, updating
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.infra.observability.told import Told
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

AGREED = ("time", "level", "service", "event")
LEVELS = {"debug", "info", "warning", "error", "critical"}

PEOPLE = {
    "c-one": ("Wilhelmina Quasthoff", "mina.quasthoff@letters.example", "17 Heron Lane", "Flat Kestrel"),
    "c-two": ("Oluwaseun Thrale-Adeyemi", "o.thrale@parcels.example", "4b Gannet Yard", "Behind Bakery"),
    "c-three": ("Perpetua Nightjar", "perpetua@nightjar.example", "9 Curlew Steps", "Ring Twice"),
}
MOVED_TO = ("wilhelmina@newplace.example", "88 Osprey Crescent")
TOWN, POSTCODE = "Plumford-under-Edge", "PQ7 4ZZ"

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
FORGED = "Bearer eyJhbGciOiJSUzI1NiJ9.Zm9yZ2VkLWJ5LXNvbWVib2R5.c2lnbmVkLWJ5LW5vYm9keQ"
PAYMENTS = ("tok_approve", "tok_decline", "tok_late_300", "tok_flaky")

SALES = """InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
910001,61001,TIN WHISTLE,2,2024-11-04 09:12:00,4.25,30077,United Kingdom
910002,61002,COPPER KETTLE,1,2024-11-04 09:15:00,24.50,30078,France
910003,61001,TIN WHISTLE,0,2024-11-04 09:20:00,4.25,30079,United Kingdom
"""


def person(customer_id: str) -> dict[str, Any]:
    name, email, line1, line2 = PEOPLE[customer_id]
    address = {"line1": line1, "line2": line2, "city": TOWN, "postcode": POSTCODE, "country": "GB"}
    return {"customer_id": customer_id, "name": name, "email": email, "address": address}


class Day:
    """What happened, and what was said by commands meanwhile."""

    def __init__(self, stack: EmbeddedStack, token: str) -> None:
        self.told = Told(stack.folder.root)
        self.secrets = [token, FORGED.removeprefix("Bearer ")]
        self.said = ""
        self._stack = stack
        self._token = token

    async def run(self) -> None:
        """Everything at its time."""
        stack = self._stack
        async with Shop(stack.url, self._token) as shop:
            await imported(self)
            await shop.stock("MUG", 50)
            for customer_id in PEOPLE:
                await shop.do("/v1/customers", person(customer_id))
            await lives_of_orders(shop)
            await commands_that_are_refused(shop)
            await strangers(stack)
            await stack.restart("nats")
            await shop.do("/v1/customers/c-one/change-email", {"email": MOVED_TO[0]})
            address = {**person("c-one")["address"], "line1": MOVED_TO[1]}
            await shop.do("/v1/customers/c-one/change-address", {"address": address})
            await dead_letter(stack, shop, self.told)
        settings = stack.settings
        assert settings.webhook_secret is not None
        self.secrets += [settings.webhook_secret.read_text().strip(), *PAYMENTS]
        self.secrets += [
            line
            for file in stack.folder.keys.iterdir()
            for line in file.read_text().splitlines()
            if len(line) > 32 and "BEGIN" not in line and file.suffix != ".json"
        ]


async def imported(day: Day) -> None:
    """Sales of another system come in by a command."""
    stack = day._stack
    file = stack.folder.root.parent / "sales.csv"
    file.write_text(SALES)
    orderfold = str(Path(sys.executable).parent / "orderfold")
    command = [
        orderfold,
        "import",
        str(file),
        "--profile",
        "online-retail",
        "--rejects",
        str(file.with_suffix(".rejects")),
    ]
    done = await asyncio.to_thread(
        subprocess.run,
        [*command, "--data", str(stack.folder.root), "--token", day._token],
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=True,
        env=stack.environment,
    )
    day.said += done.stderr


async def lives_of_orders(shop: Shop) -> None:
    """One is delivered and one returned, one is declined, one is approved late, by a webhook."""
    await shop.do(
        "/v1/orders",
        {
            "order_id": "followed",
            "customer_id": "c-one",
            "lines": [{"sku": "MUG", "quantity": 2}],
            "payment_method": "tok_approve",
        },
        X_Correlation_Id="basket-of-mina-17",
        traceparent=f"00-{TRACE}-00f067aa0ba902b7-01",
    )
    await shop.order("declined", "c-two", {"MUG": 1}, payment="tok_decline")
    await shop.order("late", "c-three", {"MUG": 1}, payment="tok_late_300")
    await shop.order("flaky", "c-three", {"MUG": 1}, payment="tok_flaky")
    await shop.order_becomes("followed", "confirmed")
    await shop.stage_becomes("followed", "awaiting-dispatch")
    await shop.do("/v1/shipments/followed/dispatch", {"carrier": "Royal Mail", "tracking": "RM1"})
    await shop.do("/v1/shipments/followed/deliver")
    await shop.order_becomes("declined", "cancelled")
    for order_id in ("late", "flaky"):
        await shop.order_becomes(order_id, "confirmed")
    await shop.order_becomes("followed", "completed")


async def commands_that_are_refused(shop: Shop) -> None:
    """By rules, by types, and because they cannot be read; each carries what must not be repeated."""
    mina, thrale = person("c-one"), person("c-two")
    name, email = mina["name"], mina["email"]

    async def refused(status: int, path: str, body: Any, **headers: str) -> None:
        answer = await shop.post(path, body, **headers)
        assert answer.status_code == status, (path, answer.text)

    await refused(409, "/v1/customers", {**mina, "name": thrale["name"]})
    await refused(409, "/v1/orders/followed/cancel", {"reason": f"{name} rang, {email}"})
    await refused(404, "/v1/orders/none/cancel", {"reason": email})
    await refused(400, "/v1/customers", {**mina, email: name})
    await refused(400, "/v1/customers", {**mina, "customer_id": email})
    await refused(400, "/v1/customers", {**mina, "email": name})
    await refused(400, "/v1/customers", {**mina, "address": email})
    await refused(400, "/v1/customers/c-one/change-email", {"email": email.replace("@", " ")})
    await refused(404, f"/v1/people/{email}", mina)
    key = {"Idempotency_Key": "same-key"}
    await shop.do("/v1/customers", {**mina, "customer_id": "c-four"}, **key)
    await refused(422, "/v1/customers", {**thrale, "customer_id": "c-four"}, **key)
    broken = f'{{"name": "{name}", "email": "{email}", '.encode()
    for content_type in ("application/json", "text/plain"):
        answer = await shop.http.post("/v1/customers", content=broken, headers={"Content-Type": content_type})
        assert answer.status_code in {400, 415}
    assert (await shop.look("/v1/orders", customer_id=email)).status_code == 400
    assert (await shop.look(f"/v1/customers/{email}")).status_code == 400
    assert (await shop.look("/v1/products", q=name)).status_code == 200


async def strangers(stack: EmbeddedStack) -> None:
    """Somebody without a good token, and somebody who plays the payment provider."""
    expired = SigningKeys.load(stack.folder.keys).mint(
        ["orders:read"],
        subject="nobody",
        lifetime=timedelta(seconds=-3600),
        issuer=stack.settings.jwt_issuer,
        audience=stack.settings.jwt_audience,
    )
    mina = person("c-one")
    async with httpx.AsyncClient(base_url=stack.url, timeout=HOLDS_SECONDS) as http:
        for authorization in (FORGED, f"Bearer {expired}", "Basic bWluYTpxdWFzdGhvZmY="):
            answer = await http.post("/v1/customers", json=mina, headers={"Authorization": authorization})
            assert answer.status_code == 401
        signed = {"webhook-id": mina["email"], "webhook-timestamp": "1700000000", "webhook-signature": "v1,x"}
        answer = await http.post("/v1/webhooks/payments", json=mina, headers=signed)
        assert answer.status_code == 401


async def dead_letter(stack: EmbeddedStack, shop: Shop, told: Told) -> None:
    """A customer's document is spoilt, so that the next event about her cannot be applied."""
    mongo = Mongo(stack.settings)
    await eventually(
        lambda: mongo.find("customers", {"_id": "c-three"}), lambda found: len(found) == 1, "projected"
    )
    await mongo.write("customers", [updating({"_id": "c-three"}, {"status": {"of": PEOPLE["c-three"][0]}})])
    mongo.close()
    # Its projector still has the document in memory.
    await stack.restart("read-models")
    await shop.post("/v1/customers/c-three/change-email", {"email": MOVED_TO[0]})

    async def parked() -> list[dict[str, Any]]:
        return told.lines(event="document suspended after a projection error")

    await eventually(parked, bool, "the event is parked")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def day(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Day]:
    """A stack that says all it can, and has ended by the time its logs are read."""
    folder = tmp_path_factory.mktemp("logged") / "data"
    environ = {
        "ORDERFOLD_LOG_LEVEL": "debug",
        "ORDERFOLD_ACCESS_LOG": "on",
        "ORDERFOLD_PROVIDER_TIMEOUT": "1",
    }
    async with EmbeddedStack(folder, port=free_port(), environ=environ) as stack:
        day = Day(stack, bearer(stack))
        await day.run()
    yield day


async def test_no_log_names_a_customer(day: Day) -> None:
    text = day.told.text() + day.said
    personal = {word for values in PEOPLE.values() for word in values}
    personal |= {word for name, *_ in PEOPLE.values() for word in name.split()}
    personal |= {TOWN, POSTCODE, *MOVED_TO, "Customer 30077", "customer-30077@"}
    assert [word for word in sorted(personal) if word.lower() in text.lower()] == []


async def test_no_log_holds_a_secret(day: Day) -> None:
    text = day.told.text() + day.said
    assert len(day.secrets) > len(PAYMENTS) + 3
    assert [secret for secret in day.secrets if secret in text] == []
    assert "webhook-signature" not in text


async def test_every_line_of_our_processes_is_a_json_object_with_the_agreed_fields(day: Day) -> None:
    lines = day.told.lines()
    assert len(lines) == len(day.told.raw()) > 100
    assert [line for line in lines if tuple(line)[:4] != AGREED or line["level"] not in LEVELS] == []
    contexts = set(NAMES)
    assert {line["service"] for line in lines} >= contexts | {"gateway", "read-models"}


async def test_an_order_can_be_followed_by_its_correlation_id(day: Day) -> None:
    """Through the gateway, every context and the saga, in the order in which it happened."""
    lines = day.told.lines(correlation_id="basket-of-mina-17")
    assert {(line["order_id"], line["trace_id"]) for line in lines} == {("followed", TRACE)}
    followed = [
        (line["service"], line.get("command") or line.get("stage") or line.get("route")) for line in lines
    ]
    path = [
        ("ordering", "ordering.PlaceOrder"),
        ("inventory", "inventory.ReserveStock"),
        ("payments", "payments.AuthorizePayment"),
        ("ordering", "ordering.ConfirmOrder"),
    ]
    assert [step for step in followed if step in path] == path
    assert ("gateway", "/v1/orders") in followed
    assert ("shipping", "shipping.CreateShipment") in followed
    assert {stage for service, stage in followed if service == "fulfilment"} >= {"awaiting-dispatch"}


async def test_a_request_is_a_line_with_its_route_its_outcome_and_who_sent_it(day: Day) -> None:
    placed = day.told.lines(event="request", correlation_id="basket-of-mina-17")[0]
    assert (placed["method"], placed["status"], placed["subject"]) == ("POST", 201, "shop")
    assert placed["milliseconds"] > 0
    refused = day.told.lines(event="request", status=404, route="unmatched")
    assert [line["problem"] for line in refused] == ["not-found"]
    asked_by_machines = day.told.lines(event="request", route="/health/ready")
    assert {line["level"] for line in asked_by_machines} == {"debug"}


async def test_a_dead_letter_is_a_line_with_the_order_or_customer_it_is_about(day: Day) -> None:
    parked = day.told.lines(event="document suspended after a projection error")[0]
    assert (parked["level"], parked["key"], parked["model"]) == ("error", "c-three", "customers")
    assert parked["correlation_id"]
    assert "document is none the model knows" in parked["error"]
