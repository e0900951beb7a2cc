"""A customer is forgotten while everything else goes on: nothing of the person is left anywhere."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from infra.embedded import EmbeddedStack
from tests.e2e.commands import orderfold
from tests.shop import Shop

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

CUSTOMERS = 1_000
AT_ONCE = 32

ADDRESS = {"line1": "17 Rue de l'Écluse", "city": "Besançon", "postcode": "25000", "country": "FR"}
PERSON = {"name": "Éloïse Quatremère", "email": "eloise.quatremere@example.org", "address": ADDRESS}
TEXTS = ("Éloïse Quatremère", "eloise.quatremere@example.org", "loise.q", "17 Rue de l'Écluse")


async def register(shop: Shop, number: int, at_once: asyncio.Semaphore) -> None:
    async with at_once:
        address = {"line1": f"{number} Quay", "city": "Bristol", "postcode": "BS1 4DJ", "country": "GB"}
        person = {"name": f"Person {number}", "email": f"p{number}@example.org", "address": address}
        await shop.do("/v1/customers", {"customer_id": f"many-{number}", **person})


async def test_one_of_a_thousand_is_forgotten_in_the_middle_of_an_import_and_a_replay(
    stack: EmbeddedStack, shop: Shop, tmp_path: Path
) -> None:
    texts = tmp_path / "texts"
    texts.write_text("\n".join(TEXTS))
    at_once = asyncio.Semaphore(AT_ONCE)
    await shop.stock("FORGET-MUG", 10)
    await shop.do("/v1/customers", {"customer_id": "eloise", **PERSON})
    await shop.do("/v1/customers/eloise/change-email", {"email": "eq@example.org"})
    await shop.order("forget-1", "eloise", {"FORGET-MUG": 1})
    shown = await shop.get("/v1/customers/eloise")
    assert (shown["name"], shown["email"], shown["address"]["city"]) == (
        PERSON["name"],
        "eq@example.org",
        "Besançon",
    )
    found = await orderfold(stack, "verify", "--erased", "eloise", status=1)
    assert "the customer's key was not destroyed" in found

    importing = [asyncio.create_task(register(shop, number, at_once)) for number in range(CUSTOMERS)]
    replaying = asyncio.create_task(orderfold(stack, "replay", "start", "customers"))
    await shop.do("/v1/customers/eloise/forget")
    # At once for whoever asks, whatever the read model says by then.
    assert (await shop.get("/v1/customers/eloise"))["status"] == "forgotten"
    await asyncio.gather(*importing, replaying)

    printed = await orderfold(stack, "verify", "--erased", "eloise", "--text", str(texts))
    assert "erased: nothing of eloise can be read any more" in printed
    assert "for 4 texts, each as UTF-8" in printed

    # What is left still adds up, and can be rebuilt.
    assert (await shop.get("/v1/orders/forget-1"))["customer_id"] == "eloise"
    assert "clean: every document is the same" in await orderfold(stack, "replay", "diff", "customers")
    await orderfold(stack, "replay", "drop", "customers", "--yes")
    assert "clean: streams" in await orderfold(stack, "verify")
    answer = await shop.post("/v1/customers/eloise/change-email", {"email": "back@example.org"})
    assert answer.status_code == 409
    assert (await shop.get("/v1/customers/many-7"))["name"] == "Person 7"


async def test_the_scanner_finds_what_is_there_in_every_form(stack: EmbeddedStack, tmp_path: Path) -> None:
    """Or its silence would mean nothing."""
    texts = tmp_path / "texts"
    texts.write_text("Zoë Nobody-Else")
    written = (
        "Zoë Nobody-Else".encode(),
        b"Zo\\u00eb Nobody-Else",
        "Zoë Nobody-Else".encode("utf-16-le"),
        b"Zo%C3%AB+Nobody-Else",
        b"eHggWm/DqyBOb2JvZHktRWxzZSB4eA==",
    )
    left = {stack.folder.root / "logs" / f"left-{form}.log": octets for form, octets in enumerate(written)}
    for path, octets in left.items():
        path.write_bytes(b"before " + octets + b" after")
    printed = await orderfold(stack, "verify", "--erased", "nobody", "--text", str(texts), status=1)
    told = "".join(printed.split())
    for path in left:
        assert f"in{path}atbyte" in told, printed
        path.unlink()
    assert "Nobody-Else" not in printed


async def test_the_master_key_is_exchanged_while_customers_come_and_go(
    stack: EmbeddedStack, shop: Shop
) -> None:
    file = stack.folder.keys / "master-keys"
    before = file.read_text()
    await shop.do("/v1/customers", {"customer_id": "kept-1", **PERSON})
    at_once = asyncio.Semaphore(AT_ONCE)
    coming = [asyncio.create_task(register(shop, 2_000 + number, at_once)) for number in range(200)]
    await orderfold(stack, "keys", "rotate", "--data", str(stack.folder.root))
    await asyncio.gather(*coming)
    assert len(file.read_text().splitlines()) == 1
    assert file.read_text() != before
    await shop.do("/v1/customers/kept-1/change-email", {"email": "new@example.org"})
    for customer_id in ("kept-1", "many-2000", "many-2199"):
        assert (await shop.get(f"/v1/customers/{customer_id}"))["name"]
