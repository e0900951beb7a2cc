"""Several processes on one PostgreSQL database, and connections that break."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable

import psycopg
import pytest

from infra.event_store import group_commit
from infra.event_store.postgres import leadership
from infra.event_store.store import CommandRepeated, Conflict, EventStore, StoreUnavailable
from infra.messages.events import Append, Appended
from infra.sockets import free_port
from tests.infra.event_store.messages import append, command, note, part
from tests.support.deadlines import HOLDS_SECONDS


@pytest.fixture
async def stores(postgres_store: str) -> AsyncIterator[tuple[EventStore, EventStore]]:
    """Two on one database, as two replicas of a context have them."""
    one = await EventStore.open("ordering", postgres_store)
    two = await EventStore.open("ordering", postgres_store)
    yield one, two
    await one.close()
    await two.close()


async def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + HOLDS_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        await asyncio.sleep(0.01)


def terminate(url: str, where: str = "") -> int:
    """End the server's side of the store's connections; how many there were."""
    with psycopg.connect(url, autocommit=True) as connection:
        query = (
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity"
            f" WHERE datname = current_database() AND pid <> pg_backend_pid() {where}"
        )
        row = connection.execute(query.encode()).fetchone()
        return row[0] if row else 0


async def test_a_server_that_is_not_there_is_named_in_one_line() -> None:
    port = free_port()
    with pytest.raises(StoreUnavailable) as unavailable:
        await EventStore.open("ordering", f"postgresql://me:secret@127.0.0.1:{port}/ordering")
    message = str(unavailable.value)
    assert f"127.0.0.1:{port}/ordering cannot be reached" in message
    assert "\n" not in message
    assert "secret" not in message


async def test_a_database_that_is_not_there_is_named(postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match='"no_such_store" does not exist'):
        await EventStore.open("ordering", postgres_url.rpartition("/")[0] + "/no_such_store")


async def test_commits_of_other_processes_are_heard(
    stores: tuple[EventStore, EventStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    # By notification, then: the poll would come too late.
    monkeypatch.setattr(leadership, "POLL_SECONDS", 2 * HOLDS_SECONDS)
    one, two = stores
    assert one.shared
    heard = asyncio.Event()
    two.on_commit(heard.set)
    await asyncio.sleep(0)
    await asyncio.wait_for(heard.wait(), HOLDS_SECONDS)  # once it listens
    heard.clear()
    await one.append(append(part("order-1", 0, "OrderPlaced")))
    await asyncio.wait_for(heard.wait(), HOLDS_SECONDS)


async def test_commits_are_heard_again_after_the_connection_was_lost(
    stores: tuple[EventStore, EventStore], postgres_store: str
) -> None:
    one, two = stores
    heard: list[int] = []
    two.on_commit(lambda: heard.append(1))
    await until(lambda: bool(heard))
    assert terminate(postgres_store, "AND query LIKE 'LISTEN%'") >= 1
    heard.clear()
    await until(lambda: len(heard) >= 2)  # counted as changed while nothing is heard, and on listening again
    await one.append(append(part("order-1", 0, "OrderPlaced")))
    heard.clear()
    await one.append(append(part("order-1", 1, "OrderConfirmed")))
    await until(lambda: bool(heard))


async def test_one_process_leads_until_it_closes(postgres_store: str) -> None:
    one = await EventStore.open("ordering", postgres_store)
    two = await EventStore.open("ordering", postgres_store)
    await asyncio.wait_for(one.lead(), HOLDS_SECONDS)
    await asyncio.wait_for(one.lead(), HOLDS_SECONDS)
    waiting = asyncio.create_task(two.lead())
    done, _ = await asyncio.wait([waiting], timeout=1.5)
    assert not done
    await one.close()
    await asyncio.wait_for(waiting, HOLDS_SECONDS)
    assert not two.lost_lead.is_set()
    await two.close()


async def test_a_leader_that_loses_its_connection_knows_and_may_lead_again(
    stores: tuple[EventStore, EventStore], postgres_store: str
) -> None:
    one, _ = stores
    await asyncio.wait_for(one.lead(), HOLDS_SECONDS)
    with psycopg.connect(postgres_store, autocommit=True) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory'"
            " AND classid = 4240 AND objid = 2 AND granted AND database ="
            " (SELECT oid FROM pg_database WHERE datname = current_database())"
        )
    await asyncio.wait_for(one.lost_lead.wait(), HOLDS_SECONDS)
    await asyncio.wait_for(one.lead(), HOLDS_SECONDS)
    assert not one.lost_lead.is_set()


async def test_giving_up_on_leading_leaves_the_lead_to_others(postgres_store: str) -> None:
    one = await EventStore.open("ordering", postgres_store)
    two = await EventStore.open("ordering", postgres_store)
    three = await EventStore.open("ordering", postgres_store)
    await one.lead()
    waiting = asyncio.create_task(two.lead())
    await asyncio.wait([waiting], timeout=0.2)
    waiting.cancel()
    await asyncio.wait([waiting], timeout=HOLDS_SECONDS)
    assert waiting.cancelled()
    await one.close()
    await asyncio.wait_for(three.lead(), HOLDS_SECONDS)
    await two.close()
    await three.close()


async def test_idle_connections_that_were_lost_are_renewed_unnoticed(
    stores: tuple[EventStore, EventStore], postgres_store: str
) -> None:
    one, _ = stores
    await one.append(append(part("order-1", 0, "OrderPlaced")))
    await one.load("order-1")
    await one.head()
    assert terminate(postgres_store) >= 3
    await one.append(append(part("order-1", 1, "OrderConfirmed")))
    assert len(await one.load("order-1")) == 2
    assert await one.head() == 2


async def test_a_commit_nobody_knows_the_outcome_of_is_an_unavailable_store(
    stores: tuple[EventStore, EventStore], postgres_store: str
) -> None:
    one, _ = stores
    await one.append(Append(notes=(note("MUG", b"1"),)))
    with psycopg.connect(postgres_store) as holder:
        # The append is under way, past its checks: it waits for this row.
        holder.execute("UPDATE notes SET value = '2'")
        waiting = asyncio.create_task(one.append(Append(notes=(note("MUG", b"3"),))))
        with psycopg.connect(postgres_store, autocommit=True) as observer:
            await until(lambda: blocked(observer) == 1)
            terminate(postgres_store, "AND wait_event_type = 'Lock'")
        with pytest.raises(StoreUnavailable, match="does not answer"):
            await asyncio.wait_for(waiting, HOLDS_SECONDS)
        holder.rollback()
    assert isinstance(await one.append(Append(notes=(note("MUG", b"4"),))), Appended)
    assert await one.notes("price") == {"MUG": b"4"}


async def test_an_event_written_behind_the_stores_back_is_a_conflict_and_hurts_no_neighbour(
    stores: tuple[EventStore, EventStore], postgres_store: str
) -> None:
    one, _ = stores
    with psycopg.connect(postgres_store) as intruder:
        # Written without the append lock, and not yet visible when the group is checked.
        intruder.execute(
            "INSERT INTO stored_events (originator_id, originator_version, topic, state, partition,"
            " recorded_at, metadata) VALUES ('order-2', 1, 'ordering.OrderPlaced', '{}', 0, 0, '[]')"
        )
        answers = asyncio.gather(
            *[one.append(append(part(f"order-{number}", 0, "OrderPlaced"))) for number in (1, 2, 3)],
            return_exceptions=True,
        )
        with psycopg.connect(postgres_store, autocommit=True) as observer:
            await until(lambda: blocked(observer) == 1)
        intruder.commit()
    first, second, third = await asyncio.wait_for(answers, HOLDS_SECONDS)
    assert isinstance(first, Appended)
    assert isinstance(second, Conflict)
    assert isinstance(third, Appended)


async def test_a_server_that_hangs_does_not_hang_its_callers(
    stores: tuple[EventStore, EventStore], postgres_store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = stores
    monkeypatch.setattr(group_commit, "SECONDS_AT_MOST", 0.5)
    await one.append(append(part("order-1", 0, "OrderPlaced")))
    with psycopg.connect(postgres_store, autocommit=True) as observer:
        row = observer.execute(
            "SELECT pid FROM pg_stat_activity WHERE datname = current_database() AND query = 'COMMIT'"
        ).fetchone()
    assert row is not None
    placed = append(part("order-2", 0, "OrderPlaced"), command=command("c-2", reply=b"placed"))
    os.kill(row[0], signal.SIGSTOP)
    try:
        with pytest.raises(StoreUnavailable, match="did not answer"):
            await asyncio.wait_for(one.append(placed), HOLDS_SECONDS)
        # The caller was told in time; on a new connection the command was carried out all the same, once.
        with pytest.raises(CommandRepeated):
            await asyncio.wait_for(one.append(placed), HOLDS_SECONDS)
    finally:
        os.kill(row[0], signal.SIGCONT)


def blocked(observer: psycopg.Connection[tuple[int, ...]]) -> int:
    """How many of the database's sessions wait for another one."""
    row = observer.execute(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND cardinality(pg_blocking_pids(pid)) > 0"
    ).fetchone()
    return row[0] if row else 0
