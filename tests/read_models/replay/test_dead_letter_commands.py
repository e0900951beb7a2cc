"""Dead letters are listed, shown, retried and skipped; what was done about them is kept."""

from __future__ import annotations

from dataclasses import replace

import pytest
from nats.aio.client import Client

from contexts.inventory.events import StockReceived
from infra.event_log.client import LogClient
from infra.mongo import Mongo, encode_document, replacing
from read_models import stock
from read_models.monitoring.verification import Verification
from read_models.projection.dead_letter_audit import audit
from read_models.projection.dead_letters import DeadLetterSummary, list_parked
from read_models.projection.documents import ReadModels
from read_models.projection.model import Occurrence, Source
from read_models.replay.dead_letter_retry import retry, skip
from read_models.replay.errors import ReplayFailed
from read_models.sales import SALES
from read_models.stock import STOCK, Stock
from tests.read_models import examples
from tests.read_models.logs import Logs, stored
from tests.read_models.replay.versions import Command, at_head, kept_up_to_date, project_all, two_versions

OLD = b'{"type":"inventory.StockReceived","sku":"MUG","units":10}'
"""An event of a form the current types do not take."""
RECEIVED = "inventory.StockReceived"
UPCASTING = replace(
    STOCK,
    sources=(
        Source(
            "inventory",
            stock.StockEvent,
            {RECEIVED: lambda old: {"quantity": old.pop("units", None) or old["quantity"], **old}},
        ),
    ),
)
"""The same read model once somebody has written the upcaster that was missing."""


async def parked(mongo: Mongo, connection: Client, logs: Logs) -> DeadLetterSummary:
    """MUG holds 10 units; what came then cannot be read, and 10 and -4 wait behind it."""
    await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
    await logs.record(("stock-MUG", RECEIVED, OLD))
    await logs.happened(("stock-MUG", examples.received), ("stock-MUG", examples.allocated))
    await project_all(mongo, connection, logs, STOCK, "stock")
    (letter,) = await list_parked(mongo, "stock")
    assert (letter.key, letter.event_id, letter.waiting) == ("MUG", "stock-MUG@2", 2)
    return letter


async def units(mongo: Mongo) -> dict[str, tuple[int, int]]:
    return {item["_id"]: (item["on_hand"], item["reserved"]) for item in await mongo.find("stock", {})}


async def test_a_retry_applies_the_event_and_what_waited_behind_it(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    letter = await parked(mongo, connection, logs)
    done = await retry(mongo, UPCASTING, "stock", letter, "ada")
    assert (done.applied, done.parked, done.error) == (3, 0, None)
    assert await units(mongo) == {"MUG": (30, 4), "CUP": (10, 0)}
    assert await list_parked(mongo, "stock") == []
    (entry,) = await audit(mongo, "stock")
    assert (entry.actor, entry.action, entry.event_id, entry.applied) == ("ada", "retry", "stock-MUG@2", 3)
    assert "StockReceived" in entry.error


async def test_a_projector_at_work_goes_on_with_a_key_that_was_retried(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    letter = await parked(mongo, connection, logs)
    async with kept_up_to_date(mongo, connection, UPCASTING, "stock"):
        await logs.happened(("stock-MUG", examples.received), ("stock-CUP", examples.received))
        await at_head(mongo, logs, STOCK, "stock")
        assert (await list_parked(mongo, "stock"))[0].waiting == 3
        await retry(mongo, UPCASTING, "stock", letter, "ada")
        await logs.happened(("stock-MUG", examples.received))
        await at_head(mongo, logs, STOCK, "stock")
    assert await units(mongo) == {"MUG": (50, 4), "CUP": (20, 0)}
    assert await list_parked(mongo, "stock") == []


async def test_what_cannot_be_applied_this_time_either_stays_parked(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """But what comes before it in the order is applied."""

    def full(document: Stock | None, occurrence: Occurrence) -> Stock:
        if isinstance(occurrence.event, StockReceived) and occurrence.version == 3:
            raise ValueError("the shelf is full")
        return stock.project(document, occurrence)

    letter = await parked(mongo, connection, logs)
    again = await retry(mongo, STOCK, "stock", letter, "ada")
    assert (again.applied, again.parked, again.event_id) == (0, 3, "stock-MUG@2")
    done = await retry(mongo, replace(UPCASTING, project=full), "stock", letter, "ada")
    assert (done.applied, done.parked) == (1, 2)
    assert done.error == "ValueError: the shelf is full"
    (letter,) = await list_parked(mongo, "stock")
    assert (letter.event_id, letter.waiting) == ("stock-MUG@3", 1)
    assert (await units(mongo))["MUG"] == (20, 0)


async def test_a_skipped_event_is_done_without_for_good(mongo: Mongo, connection: Client, logs: Logs) -> None:
    letter = await parked(mongo, connection, logs)
    done = await skip(mongo, STOCK, "stock", letter, "ada", "never arrived")
    assert (done.applied, done.parked) == (2, 0)
    assert await units(mongo) == {"MUG": (20, 4), "CUP": (10, 0)}
    (entry,) = await audit(mongo, "stock")
    assert (entry.action, entry.reason, entry.event_id) == ("skip", "never arrived", "stock-MUG@2")
    await project_all(mongo, connection, logs, STOCK, "stock@2")
    assert await stored(mongo, "stock@2") == await stored(mongo, "stock")
    assert await list_parked(mongo, "stock@2") == []
    await logs.open("catalog", "customers", "ordering", "payments", "shipping", "fulfilment")
    report = await Verification(connection, LogClient(connection), ReadModels(mongo)).run(0, lambda *_: None)
    assert [item.what for item in report.differences if item.key == "MUG" and item.subject == "stock"] == []


async def test_a_stream_whose_events_make_several_documents_is_retried_for_all_of_them(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    """Whose an unreadable event is nobody knows: its stream is parked."""
    broken = b'{"type":"ordering.OrderConfirmed"}'
    await logs.happened(("order-42", examples.placed()), ("order-43", examples.confirmed("43")))
    await logs.record(("order-42", "ordering.OrderConfirmed", broken))
    await logs.happened(("order-42", examples.confirmed()), ("order-42", examples.return_accepted))
    await project_all(mongo, connection, logs, SALES, "sales")
    (letter,) = await list_parked(mongo, "sales")
    assert letter.key == "order-42"
    done = await skip(mongo, SALES, "sales", letter, "ada", "recorded again")
    assert (done.applied, done.parked) == (2, 0)
    days = await mongo.find("sales", {})
    assert sum(day["units"] for day in days) == 2 + 2 - 1


async def test_a_stored_document_of_another_form_is_left_to_a_repair(
    mongo: Mongo, connection: Client, logs: Logs
) -> None:
    await logs.happened(("stock-MUG", examples.received))
    await project_all(mongo, connection, logs, STOCK, "stock")
    await mongo.write("stock", [replacing("MUG", encode_document("MUG", {"n": 1}))])
    await logs.happened(("stock-MUG", examples.received))
    await project_all(mongo, connection, logs, STOCK, "stock")
    (letter,) = await list_parked(mongo, "stock")
    done = await retry(mongo, STOCK, "stock", letter, "ada")
    assert done.parked == 1
    assert "`replay repair stock --key MUG`" in (done.error or "")


async def test_two_operators_do_not_do_it_twice(mongo: Mongo, connection: Client, logs: Logs) -> None:
    letter = await parked(mongo, connection, logs)
    await skip(mongo, STOCK, "stock", letter, "ada", "never arrived")
    with pytest.raises(ReplayFailed, match="stock-MUG@2 in stock was retried or skipped by somebody else"):
        await retry(mongo, UPCASTING, "stock", letter, "bob")
    assert (await units(mongo))["MUG"] == (20, 4)


async def test_the_commands_tell_and_settle_dead_letters_of_every_version(
    mongo: Mongo, connection: Client, logs: Logs, replay: Command
) -> None:
    await parked(mongo, connection, logs)
    await project_all(mongo, connection, logs, STOCK, "stock@2")
    await two_versions(mongo, "stock")
    listed = await replay("dead-letters", "list", "--json")
    assert [(item["collection"], item["key"]) for item in listed.json] == [
        ("stock", "MUG"),
        ("stock@2", "MUG"),
    ]
    shown = await replay("dead-letters", "show", "stock", "MUG", "--json")
    assert [event["event_id"] for event in shown.json[0]["events"]] == [
        "stock-MUG@2",
        "stock-MUG@3",
        "stock-MUG@4",
    ]
    assert shown.json[0]["events"][0]["data"] == OLD.decode()
    again = await replay("dead-letters", "retry", "stock")
    assert (again.status, again.err) == (1, "")
    assert "3 parked: stock-MUG@2" in again.out
    without = await replay("dead-letters", "skip", "stock", "MUG")
    assert (without.status, without.err.count("\n")) == (2, 1)
    skipped = await replay("dead-letters", "skip", "stock", "MUG", "--reason", "never arrived", "--json")
    assert (skipped.status, [item["applied"] for item in skipped.json]) == (0, [2, 2])
    assert await stored(mongo, "stock") == await stored(mongo, "stock@2")
    history = await replay("dead-letters", "audit", "stock", "--json")
    assert [item["action"] for item in history.json] == ["retry", "retry", "skip", "skip"]
    assert "no dead letters" in (await replay("dead-letters", "list", "stock")).out
    gone = await replay("dead-letters", "retry", "stock", "MUG")
    assert (gone.status, gone.err.count("\n")) == (2, 1)
