"""An append happens as a whole, once, and only on what its sender saw."""

from __future__ import annotations

from datetime import datetime

import pytest

from infra.event_store.store import CheckpointMoved, CommandRepeated, CommandReused, Conflict, EventStore
from infra.messages.events import Append, Checkpoint, Metadata, Recorded, StreamAppend, partition_of
from tests.infra.event_store.messages import append, command, metadata, move, note, part


async def test_what_was_appended_is_loaded_as_it_was(store: EventStore) -> None:
    data = b'{"name":"caf\xc3\xa9 \\u0000","raw":"\xff\x00"}'
    appended = await store.append(append(part("order-42", 0, "OrderPlaced", data=data)))
    assert await store.load("order-42") == [
        Recorded(
            position=appended.positions[0],
            stream="order-42",
            version=1,
            name="ordering.OrderPlaced",
            data=data,
            metadata=metadata(),
            partition=partition_of("42"),
        )
    ]


async def test_a_stream_nobody_wrote_to_is_empty(store: EventStore) -> None:
    assert await store.load("order-42") == []


async def test_a_stream_is_loaded_after_a_version(store: EventStore) -> None:
    await store.append(append(part("order-42", 0, "OrderPlaced", "OrderConfirmed", "OrderDispatched")))
    assert [event.version for event in await store.load("order-42", after=1)] == [2, 3]
    assert await store.load("order-42", after=3) == []


async def test_an_append_names_the_last_position_of_each_of_its_streams(store: EventStore) -> None:
    appended = await store.append(append(part("stock-A", 0, "A", "B"), part("stock-B", 0, "C")))
    assert appended.positions == (
        (await store.load("stock-A"))[-1].position,
        (await store.load("stock-B"))[-1].position,
    )
    assert [event.position for event in await store.read_log(0, 10)] == [1, 2, 3]


async def test_an_expected_version_that_does_not_hold_is_a_conflict(store: EventStore) -> None:
    await store.append(append(part("order-42", 0, "OrderPlaced")))
    with pytest.raises(Conflict) as behind:
        await store.append(append(part("order-42", 0, "OrderPlaced")))
    assert (behind.value.stream, behind.value.actual) == ("order-42", 1)
    with pytest.raises(Conflict) as ahead:
        await store.append(append(part("order-42", 2, "OrderConfirmed")))
    assert ahead.value.actual == 1
    assert await store.head() == 1


async def test_of_several_streams_one_conflict_leaves_all_untouched(store: EventStore) -> None:
    await store.append(append(part("stock-B", 0, "StockReceived")))
    with pytest.raises(Conflict):
        await store.append(
            Append(
                streams=(part("stock-A", 0, "StockReserved"), part("stock-B", 0, "StockReserved")),
                command=command("command-2"),
                checkpoints=(move(0, 7),),
                notes=(note("MUG", b"1250"),),
            )
        )
    assert await store.load("stock-A") == []
    assert await store.command("command-2") is None
    assert await store.checkpoints("inbox") == {}
    assert await store.notes("price") == {}


async def test_a_part_without_events_checks_its_stream_and_records_nothing(store: EventStore) -> None:
    appended = await store.append(append(part("order-42", 0), part("order-43", 0, "OrderPlaced")))
    assert appended.positions == (0, 1)
    with pytest.raises(Conflict):
        await store.append(append(part("order-43", 0), part("order-44", 0, "OrderPlaced")))


async def test_a_stream_named_twice_in_an_append_goes_on_from_its_first_part(store: EventStore) -> None:
    await store.append(append(part("order-42", 0, "OrderPlaced"), part("order-42", 1, "OrderConfirmed")))
    assert [event.version for event in await store.load("order-42")] == [1, 2]


async def test_a_repeated_command_gets_its_first_reply_and_changes_nothing(store: EventStore) -> None:
    await store.append(append(part("order-42", 0, "OrderPlaced"), command=command("c-1", reply=b"first")))
    with pytest.raises(CommandRepeated) as repeated:
        await store.append(append(part("order-42", 0, "OrderPlaced"), command=command("c-1", reply=b"later")))
    assert repeated.value.reply == b"first"
    assert await store.head() == 1


async def test_a_command_id_with_another_fingerprint_is_refused(store: EventStore) -> None:
    await store.append(append(part("order-42", 0, "OrderPlaced"), command=command("c-1", b"one body")))
    with pytest.raises(CommandReused):
        await store.append(append(part("order-43", 0, "OrderPlaced"), command=command("c-1", b"another")))
    assert await store.load("order-43") == []


async def test_a_command_that_changed_nothing_is_remembered_too(store: EventStore) -> None:
    assert (await store.append(append(command=command("c-1")))).positions == ()
    assert await store.command("c-1") == command("c-1")
    assert await store.command("c-2") is None


async def test_a_checkpoint_moves_only_from_where_it_was_seen(store: EventStore) -> None:
    await store.append(Append(checkpoints=(move(0, 5), move(0, 9, partition=4))))
    await store.append(Append(checkpoints=(move(5, 8),)))
    with pytest.raises(CheckpointMoved) as moved:
        await store.append(Append(checkpoints=(move(5, 8),), notes=(note("MUG", b"1"),)))
    assert moved.value.actual == 8
    assert await store.checkpoints("inbox") == {
        ("catalog", 3): Checkpoint(
            position=8, sequence=18, sequence_position=8, created="2026-01-01T00:00:00Z"
        ),
        ("catalog", 4): Checkpoint(
            position=9, sequence=19, sequence_position=9, created="2026-01-01T00:00:00Z"
        ),
    }
    assert await store.checkpoints("another reader") == {}
    assert await store.notes("price") == {}


async def test_notes_are_put_replaced_and_deleted(store: EventStore) -> None:
    await store.append(Append(notes=(note("MUG", b"1"), note("CUP", b"2"), note("MUG", b"3", kind="timer"))))
    await store.append(Append(notes=(note("MUG", b"4"), note("CUP", None), note("POT", None))))
    assert await store.notes("price") == {"MUG": b"4"}
    assert await store.notes("timer") == {"MUG": b"3"}


async def test_of_several_notes_with_one_key_the_last_one_stays(store: EventStore) -> None:
    await store.append(
        Append(notes=(note("MUG", None), note("MUG", b"1"), note("CUP", b"2"), note("CUP", None)))
    )
    assert await store.notes("price") == {"MUG": b"1"}


async def test_thousands_of_notes_are_written_and_read_at_once(store: EventStore) -> None:
    prices = {f"SKU-{number}": str(number).encode() for number in range(3_000)}
    await store.append(Append(notes=tuple([note(sku, price) for sku, price in prices.items()])))
    assert await store.notes("price") == prices
    assert await store.notes("price", list(prices)[:2_500]) == dict(list(prices.items())[:2_500])
    assert await store.notes("price", ["SKU-7", "unheard of"]) == {"SKU-7": b"7"}
    assert await store.notes("price", []) == {}


async def test_a_value_no_database_takes_is_its_own_appends_error(store: EventStore) -> None:
    timeless = Metadata(
        time=datetime(2026, 1, 1),  # noqa: DTZ001 - this is what is wrong with it
        causation_id="",
        correlation_id="",
        actor="",
    )
    with pytest.raises(TypeError):
        await store.append(
            append(StreamAppend("order-1", 0, part("order-1", 0, "OrderPlaced").events, timeless))
        )
    await store.append(append(part("order-1", 0, "OrderPlaced")))
