"""`orderfold verify --erased`, as its user sees it."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pytest
import pytest_asyncio

from infra.embedded.stack import EmbeddedStack
from infra.mongo import Mongo, encode_document, replacing
from tests.support.shop import Shop
from tests.system.e2e.commands import orderfold

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

NAME = "Zoë Nobody-Else"


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file that names what to look for."""
    file = tmp_path / "texts"
    file.write_text(f"\n{NAME}\n")
    return file


@pytest_asyncio.fixture(loop_scope="session")
async def gone(shop: Shop) -> str:
    """A customer who was forgotten."""
    customer_id = f"gone-{uuid.uuid4().hex[:8]}"
    await shop.customer(customer_id)
    await shop.do(f"/v1/customers/{customer_id}/forget")
    return customer_id


async def test_what_is_left_is_found_and_not_repeated(
    stack: EmbeddedStack, mongo: Mongo, gone: str, texts: Path
) -> None:
    """In a log, in a document; what was searched is told, what it says is not."""
    left = stack.folder.root / "logs" / "left.log"
    left.write_text(f"GET /{NAME}\n")
    await mongo.write("left", [replacing("1", encode_document("1", {"name": NAME}))])
    try:
        printed = await orderfold(stack, "verify", "--erased", gone, "--text", str(texts), status=1)
        told = await orderfold(stack, "verify", "--erased", gone, "--text", str(texts), "--json", status=1)
    finally:
        left.unlink()
        await mongo.drop("left")
    assert f"found text 2 (UTF-8) in {left} at byte 5" in printed
    assert "found text 2 (UTF-8) in the collection left of MongoDB orderfold" in printed
    assert "Nobody-Else" not in printed
    assert "erased" not in printed.splitlines()[-1]
    report = json.loads(told)
    assert (report["erased"], report["problems"], report["unread"]) == (False, [], [])
    (searched,) = report["folders"]
    assert {"stores", "nats", "mongo", "logs", "vault"} <= searched["by_folder"].keys()
    assert {item["place"] for item in report["found"]} >= {str(left)}


async def test_a_customer_who_was_not_forgotten_is_not(stack: EmbeddedStack, shop: Shop) -> None:
    await shop.customer("there")
    printed = await orderfold(stack, "verify", "--erased", "there", status=1)
    assert "not erased: the customer's key was not destroyed" in printed
    assert "not erased: the customer was not forgotten: the last event is customers.Cust" in printed
    assert "no file was searched: --text FILE names what to look for" in printed


async def test_what_cannot_be_looked_for_is_said_in_a_line(
    stack: EmbeddedStack, gone: str, tmp_path: Path
) -> None:
    (tmp_path / "short").write_text("long enough\n\nabc\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    wrong = {
        ("nobody",): "there never was a customer nobody",
        (gone, "--text", str(tmp_path / "none")): "cannot be read: No such file or directory",
        (gone, "--text", str(tmp_path)): "cannot be read: Is a directory",
        (gone, "--text", str(tmp_path / "short")): "line 3 has under 4 bytes and would be found by chance",
        (gone, "--text", str(tmp_path / "binary")): "is not UTF-8",
        (gone, "--text", "-"): "--text - has 0 texts; 1 to 100 can be looked for",
    }
    for arguments, why in wrong.items():
        told = await orderfold(stack, "verify", "--erased", *arguments, status=2)
        (line,) = told.splitlines()
        assert line.startswith("orderfold: ")
        assert why in line
