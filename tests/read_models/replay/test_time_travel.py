"""Documents as they were: at a time, at a position, over any model."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from nats.aio.client import Client

from contexts.messages import wire_name
from infra.event_log.client import LogClient
from infra.messages.events import Append, Metadata, NewEvent, StreamAppend
from infra.mongo import Mongo, encode_document
from read_models.orders import ORDERS
from read_models.projection.dead_letter_audit import AUDIT, SKIP
from read_models.queries.time_travel import Moment, MomentInvalid, document_at, moment_of, past_document
from read_models.registry import MODELS
from read_models.sales import SALES
from tests.read_models import examples
from tests.read_models.logs import Logs, caught_up, projecting, stored

LIFE = (
    ("product-MUG", examples.added),
    ("stock-MUG", examples.received),
    ("order-42", examples.placed()),
    ("order-43", examples.placed("43")),
    ("stock-MUG", examples.allocated),
    ("payment-42", examples.authorized),
    ("order-42", examples.confirmed()),
    ("order-43", examples.confirmed("43")),
    ("shipment-42", examples.parcel_created),
    ("stock-MUG", examples.issued),
    ("shipment-42", examples.parcel_dispatched),
    ("order-42", examples.dispatched),
    ("payment-42", examples.captured),
)
"""Two orders' lives; 43 shares every stream's context with 42, but no document except the day's sales."""


@pytest.fixture
async def log(logs: Logs, connection: Client) -> LogClient:
    """The contexts' logs after all that has happened, each event later than the one before."""
    await logs.open("customers", "fulfilment", "shipping")
    for fact in LIFE:
        await logs.happened(fact)
    return LogClient(connection)


async def order_at(log: LogClient, moment: str) -> tuple[str | None, str, str] | None:
    """Status of order 42, of its payment and its parcel."""
    order = (await document_at(log, ORDERS, "42", await moment_of(log, moment))).document
    return None if order is None else (order.status, order.payment.status, order.shipment.status)


async def time_of(log: LogClient, context: str, position: int) -> datetime:
    return (await log.page(context, position - 1, limit=1)).events[0].metadata.time


async def test_a_document_as_of_now_is_byte_for_byte_the_live_one(
    log: LogClient, logs: Logs, mongo: Mongo, connection: Client
) -> None:
    now = Moment(datetime.now(UTC))
    for model in (MODELS[name] for name in ("orders", "stock", "sales", "products", "shipments")):
        async with projecting(mongo, connection, model):
            await caught_up(mongo, logs, model)
        live = await stored(mongo, model.name)
        assert live
        for key, data in live.items():
            past = await document_at(log, model, key, now)
            assert past.document is not None
            assert model.stored(key, past.document) == data


async def test_every_context_counts_up_to_the_time(log: LogClient) -> None:
    confirmed = await time_of(log, "ordering", 3)
    assert await order_at(log, confirmed.isoformat()) == ("confirmed", "authorized", "none")
    before = confirmed - timedelta(microseconds=1)
    assert await order_at(log, before.isoformat()) == ("placed", "authorized", "none")
    placed = await time_of(log, "ordering", 1)
    assert await order_at(log, placed.isoformat()) == ("placed", "none", "none")
    assert await order_at(log, (placed - timedelta(seconds=1)).isoformat()) is None


async def test_a_position_is_the_moment_after_its_event(log: LogClient) -> None:
    assert await order_at(log, "ordering:1") == ("placed", "none", "none")
    assert await order_at(log, "payments:1") == ("placed", "authorized", "none")
    # A consistency token names a position, too.
    assert await order_at(log, "shipping:1.7") == ("confirmed", "authorized", "created")


async def test_several_positions_each_bound_their_own_context(log: LogClient) -> None:
    """As of the capture ordering had dispatched the order, but it is asked for up to its placing."""
    assert await order_at(log, "payments:2") == ("dispatched", "captured", "dispatched")
    assert await order_at(log, "payments:2, ordering:1, shipping:1") == ("placed", "captured", "created")


async def test_a_document_of_many_streams_is_found_too(log: LogClient) -> None:
    """Sales of a day: only the events' content tells which document they belong to."""
    partition = (await log.page("ordering", 0)).events[0].partition
    key = f"{partition}/2010-12-01/GB/GBP"
    before = await document_at(log, SALES, key, await moment_of(log, "ordering:2"))
    after = await document_at(log, SALES, key, await moment_of(log, "ordering:3"))
    assert before.document is None
    assert after.document is not None
    assert after.document.orders == 1


async def test_an_event_with_an_earlier_time_than_the_one_before_it_stays_behind_it(
    log: LogClient, logs: Logs
) -> None:
    """Clocks may differ, order does not: a stream counts up to its first event after the moment."""
    store = await logs._store("payments")
    moment = datetime.now(UTC) - timedelta(days=1)
    for version, (event, time) in enumerate(
        [(examples.authorized, moment + timedelta(seconds=1)), (examples.captured, moment)]
    ):
        metadata = Metadata(time=time, causation_id="c", correlation_id="c", actor="test")
        new = NewEvent(wire_name(type(event)), msgspec.json.encode(event))
        await store.append(Append(streams=(StreamAppend("payment-44", version, (new,), metadata),)))
    past = await document_at(log, ORDERS, "44", Moment(moment))
    assert past.document is None
    past = await document_at(log, ORDERS, "44", Moment(moment + timedelta(seconds=1)))
    assert past.document is not None
    assert past.document.payment.status == "captured"


async def test_what_cannot_be_applied_is_named_and_ends_the_document_until_it_is_skipped(
    logs: Logs, log: LogClient, mongo: Mongo
) -> None:
    await logs.record(("payment-42", "payments.PaymentRefunded", b'{"type":"payments.PaymentRefunded"}'))
    await logs.happened(("payment-42", examples.voided))
    now = Moment(datetime.now(UTC))
    past = await past_document(mongo, log, ORDERS, "42", now)
    assert past.parked is not None
    assert past.parked.event.event_id == "payment-42@3"
    assert past.document is not None
    assert past.document.payment.status == "captured"

    entry = encode_document("1", {"action": SKIP, "model": "orders", "event_id": "payment-42@3"})
    await mongo.insert(AUDIT, [entry])
    past = await past_document(mongo, log, ORDERS, "42", now)
    assert past.parked is None
    assert past.document is not None
    assert past.document.payment.status == "voided"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("yesterday", "is no time"),
        ("", "is no time"),
        ("2026-03-01T14:03:00", "is no time with its offset"),
        ("9999-01-01T00:00:00Z", "is in the future"),
        ("ordering:", "is no position"),
        ("ordering:x", "is no position"),
        ("ordering:5", "the log of ordering ends at 4"),
        ("ordering:0", "there is no event at ordering:0"),
        ("sailing:5", "unknown context 'sailing'"),
        ("ordering:1,2026-03-01T14:03:00Z", "is no position"),
    ],
)
async def test_what_is_no_moment_is_refused_in_one_line(
    connection: Client, logs: Logs, text: str, reason: str
) -> None:
    await logs.happened(*[fact for fact in LIFE if fact[0].startswith("order-")][:4])
    with pytest.raises(MomentInvalid, match=reason):
        await moment_of(LogClient(connection), text)
