"""Documents depend on what happened, not on how the contexts' logs were interleaved or cut into batches."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from contexts.ordering.events import OrderCompleted
from infra.messages.event_headers import Delivered
from read_models.orders import ORDERS
from read_models.products import PRODUCTS
from read_models.projection.folding import Fold
from read_models.registry import MODELS
from read_models.sales import SALES
from tests.read_models import examples
from tests.read_models.history import broken, by_context, history

LIFE = history(
    ("product-MUG", examples.added),
    ("stock-MUG", examples.received),
    ("order-42", examples.placed()),
    ("stock-MUG", examples.allocated),
    ("payment-42", examples.authorized),
    ("order-42", examples.confirmed()),
    ("order-43", examples.placed("43")),
    ("shipment-42", examples.parcel_created),
    ("shipment-42", examples.parcel_dispatched),
    ("payment-42", examples.captured),
    ("stock-MUG", examples.issued),
    ("order-42", examples.dispatched),
    ("order-43", examples.confirmed("43")),
    ("order-43", examples.cancelled("43", examples.sale())),
    ("shipment-42", examples.parcel_delivered),
    ("order-42", examples.completed),
    ("order-42", examples.return_requested),
    ("shipment-42", examples.parcel_returned),
    ("payment-42", examples.refunded),
    ("order-42", examples.return_accepted),
)


def stored(model: Any, *batches: list[Delivered]) -> dict[str, bytes]:
    folded = Fold(model)
    for batch in batches:
        folded.add([event for event in batch if event.context in model.contexts])
    assert not folded.parked
    return dict(folded.stored())


@st.composite
def interleavings(draw: st.DrawFn) -> list[Delivered]:
    """The contexts' logs, each in order, mixed in any way."""
    logs = [list(log) for log in by_context(LIFE)]
    mixed = []
    while logs:
        log = logs[draw(st.integers(0, len(logs) - 1))]
        mixed.append(log.pop(0))
        logs = [log for log in logs if log]
    return mixed


@pytest.mark.parametrize("name", MODELS)
@given(mixed=interleavings(), size=st.integers(1, len(LIFE)))
@settings(max_examples=60, deadline=None)
def test_any_interleaving_and_batching_gives_the_same_bytes(
    name: str, mixed: list[Delivered], size: int
) -> None:
    model = MODELS[name]
    batches = [mixed[begin : begin + size] for begin in range(0, len(mixed), size)]
    assert stored(model, *batches) == stored(model, LIFE)


def test_a_stored_document_comes_back_as_it_was() -> None:
    """The projector goes on from what MongoDB holds: nothing may be lost on the way there and back."""
    for model in MODELS.values():
        folded = Fold(model)
        folded.add([event for event in LIFE if event.context in model.contexts])
        for key, document in folded.documents().items():
            again = model.loaded({"_id": key, **msgspec.to_builtins(document)})
            assert model.stored(key, again) == model.stored(key, document)


def test_an_event_that_cannot_be_read_parks_what_follows_for_its_key_and_nothing_else() -> None:
    events = [broken(event) if event.event_id == "order-42@2" else event for event in LIFE]
    folded = Fold(ORDERS)
    folded.add([event for event in events if event.context in ORDERS.contexts])
    assert list(folded.parked) == ["42"]
    first, *behind = folded.parked["42"]
    assert first.event.event_id == "order-42@2"
    assert first.error is not None
    assert "OrderConfirmed" in first.error
    assert first.trace is not None
    assert [item.error for item in behind] == [None] * len(behind)
    assert {item.event.event_id for item in behind} >= {"order-42@3", "payment-42@2", "shipment-42@1"}
    assert folded.documents()["43"].status == "cancelled"
    assert folded.documents()["42"].status == "placed"


def test_an_unreadable_event_of_a_model_with_keys_of_its_own_parks_its_stream() -> None:
    """Which day an unreadable sale belongs to nobody knows; what else its order does must wait for it."""
    events = [broken(event) if event.event_id == "order-43@2" else event for event in LIFE]
    folded = Fold(SALES)
    folded.add([event for event in events if event.context in SALES.contexts])
    assert list(folded.parked) == ["order-43"]
    assert [item.event.event_id for item in folded.parked["order-43"]] == ["order-43@2", "order-43@3"]
    assert [(day.orders, day.units) for day in folded.documents().values()] == [(1, 1)]


def test_an_event_that_cannot_be_applied_parks_its_key() -> None:
    """A sum beyond 64 bits is no number MongoDB can hold."""
    huge = [("stock-MUG", msgspec.structs.replace(examples.received, quantity=1_000_000))]
    events = history(("product-MUG", examples.added), *huge, *huge, ("stock-CUP", examples.received))
    folded = Fold(PRODUCTS)
    folded.add(events[:2])
    document = folded.documents()["MUG"]
    folded._documents["MUG"] = msgspec.structs.replace(document, available=2**63 - 1)
    folded.add(events[2:])
    assert [item.event.event_id for item in folded.parked["MUG"]] == ["stock-MUG@2"]
    assert folded.documents()["CUP"].available == examples.received.quantity


def test_events_a_model_does_not_understand_change_nothing() -> None:
    strange = msgspec.structs.replace(
        history(("order-42", OrderCompleted(order_id="42")))[0], name="ordering.OrderFramed"
    )
    folded = Fold(ORDERS)
    folded.add([strange])
    assert not folded.documents()
    assert not folded.parked
