"""Events that a restored store lacks are put back where they stood; what caused them is not done twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.event_store.batch import PUT_BACK
from infra.event_store.store import CommandRepeated, EventStore
from infra.messages.events import CommandRecord
from tests.infra.event_store.messages import append, command, part


async def test_they_have_their_positions_and_the_log_goes_on_after_them(
    store: EventStore, tmp_path: Path
) -> None:
    whole = await EventStore.open("ordering", f"sqlite:{tmp_path / 'whole.db'}")
    for number in range(5):
        await whole.append(append(part(f"order-{number}", 0, "OrderPlaced", "OrderConfirmed")))
    events = await whole.read_log(0, 100)
    await whole.close()
    await store.append(append(part("order-0", 0, "OrderPlaced", "OrderConfirmed")))
    assert await store.read_log(0, 100) == events[:2]
    await store.put_back(events[2:], [CommandRecord("command-1", PUT_BACK, b"reply")])
    assert await store.read_log(0, 100) == events
    appended = await store.append(append(part("order-4", 2, "OrderCancelled")))
    assert appended.positions[0] > events[-1].position
    assert [event.version for event in await store.load("order-4")] == [1, 2, 3]


async def test_a_command_that_caused_them_is_answered_as_repeated_whatever_its_fingerprint(
    store: EventStore, tmp_path: Path
) -> None:
    whole = await EventStore.open("ordering", f"sqlite:{tmp_path / 'whole.db'}")
    await whole.append(append(part("order-1", 0, "OrderPlaced")))
    events = await whole.read_log(0, 100)
    await whole.close()
    await store.put_back(events, [CommandRecord("place", PUT_BACK, b"reply")])
    with pytest.raises(CommandRepeated) as repeated:
        await store.append(append(part("order-2", 0, "OrderPlaced"), command=command("place")))
    assert repeated.value.reply == b"reply"


async def test_how_far_a_store_had_come_is_known_after_an_older_copy_took_its_place(
    sqlite_store: str, tmp_path: Path
) -> None:
    file = Path(sqlite_store.removeprefix("sqlite:"))
    store = await EventStore.open("ordering", sqlite_store)
    assert store.noted_head() == 0
    await store.append(append(part("order-1", 0, "OrderPlaced", "OrderConfirmed")))
    await store.note_head()
    await store.close()
    for beside in file.parent.glob(f"{file.name}-*"):
        beside.unlink()
    file.unlink()  # noqa: ASYNC240 - nobody else is waiting
    older = await EventStore.open("ordering", sqlite_store)
    assert (older.noted_head(), await older.head()) == (2, 0)
    await older.note_head()
    assert older.noted_head() == 0
    await older.close()
