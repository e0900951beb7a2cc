"""A context's dead letters are dealt with by the commands that deal with those of read models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from nats.aio.client import Client

from contexts.catalog.events import ProductRepriced
from infra.event_log.client import LogClient
from infra.event_store.store import EventStore
from infra.mongo import Mongo
from read_models.monitoring.verification import Verification
from read_models.projection.documents import ReadModels
from tests.conftest import Server
from tests.infra.runtime.price_list import BROKEN, Catalog, Ordering, a_catalog, at_work
from tests.read_models.logs import Logs
from tests.read_models.replay.versions import Command

OTHERS = ("customers", "inventory", "payments", "shipping", "fulfilment")


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    """A catalog of whose mug one event is broken, with another one behind it."""
    async with a_catalog(tmp_path / "catalog.db") as made:
        await made.add("MUG", BROKEN, ProductRepriced(sku="MUG", unit_price=1_100))
        yield made


@pytest.fixture
async def price_list(
    nats: Server, catalog: Catalog, logs: Logs, sqlite_store: str
) -> AsyncIterator[Ordering]:
    """Ordering, which cannot take what it heard of the mug, among the other contexts."""
    await logs.open(*OTHERS)
    store = await EventStore.open("ordering", sqlite_store)
    made = Ordering(store)
    async with at_work(nats, catalog.store, store, made):
        await made.parks("product-MUG@2", "product-MUG@3")
        yield made
    await store.close()


async def test_the_commands_tell_and_retry_them(
    catalog: Catalog, price_list: Ordering, replay: Command
) -> None:
    listed = await replay("dead-letters", "list", "--json")
    (letter,) = [item for item in listed.json if item["collection"] == "ordering"]
    assert (letter["key"], letter["event_id"], letter["waiting"]) == ("MUG", "product-MUG@2", 1)
    shown = await replay("dead-letters", "show", "ordering", "MUG", "--json")
    assert [event["event_id"] for event in shown.json[0]["events"]] == ["product-MUG@2", "product-MUG@3"]
    assert shown.json[0]["events"][0]["data"] == BROKEN.data.decode()
    again = await replay("dead-letters", "retry", "ordering")
    assert (again.status, again.err) == (1, "")
    assert "2 parked: product-MUG@2" in again.out
    catalog.mend()
    done = await replay("dead-letters", "retry", "ordering", "MUG", "--json")
    assert (done.status, [item["applied"] for item in done.json]) == (0, [2])
    assert await price_list.price("MUG") == 1_100
    (entry,) = (await replay("dead-letters", "audit", "ordering", "--json")).json
    assert (entry["action"], entry["event_id"]) == ("retry", "product-MUG@2")
    assert "there are no dead letters" in (await replay("dead-letters", "list", "ordering")).out
    gone = await replay("dead-letters", "retry", "ordering", "MUG")
    assert (gone.status, gone.err.count("\n")) == (2, 1)


async def test_a_skip_wants_a_reason_and_keeps_it(price_list: Ordering, replay: Command) -> None:
    without = await replay("dead-letters", "skip", "ordering", "MUG")
    assert (without.status, without.err.count("\n")) == (2, 1)
    skipped = await replay("dead-letters", "skip", "ordering", "MUG", "--reason", "sent twice", "--json")
    assert (skipped.status, [item["applied"] for item in skipped.json]) == (0, [1])
    assert await price_list.price("MUG") == 1_100
    (entry,) = (await replay("dead-letters", "audit", "ordering", "--json")).json
    assert (entry["action"], entry["reason"]) == ("skip", "sent twice")


async def test_a_name_that_is_neither_a_read_model_nor_a_context_is_refused(
    price_list: Ordering, replay: Command
) -> None:
    for command in (("list", "orderings"), ("show", "orderings", "MUG"), ("audit", "orderings")):
        refused = await replay("dead-letters", *command)
        assert (refused.status, refused.err.count("\n")) == (2, 1)
        assert "contexts are" in refused.err


async def test_a_context_with_the_name_of_a_read_model_is_named_in_full(
    price_list: Ordering, replay: Command
) -> None:
    told = await replay("dead-letters", "list", "context:customers")
    assert (told.status, told.out.strip()) == (0, "there are no dead letters")


async def test_a_context_that_does_not_answer_is_told_of(nats: Server, logs: Logs, replay: Command) -> None:
    """What nobody tells is not the same as nothing."""
    await logs.open("catalog", "ordering", *OTHERS[1:])
    listed = await replay("dead-letters", "list")
    assert listed.status == 2
    assert "customers did not answer" in listed.err


async def test_verify_counts_them_and_names_the_remedy(
    price_list: Ordering, connection: Client, mongo: Mongo
) -> None:
    report = await Verification(connection, LogClient(connection), ReadModels(mongo)).run(0, lambda *_: None)
    (found,) = [item for item in report.differences if item.subject == "inbox of ordering"]
    assert (found.key, ", 1 more behind it" in found.what) == ("MUG", True)
    assert found.remedy == "orderfold replay dead-letters show ordering MUG, then retry or skip"
