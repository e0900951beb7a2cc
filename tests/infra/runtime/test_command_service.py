"""A command is carried out once, answered after its commit, and refused with a reason."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import nats as nats_py
import pytest

from contexts.catalog.commands import AddProduct, RenameProduct, RepriceProduct
from infra.event_store.store import EventStore
from infra.messages.command_headers import command_subject, decode_answer, to_headers
from infra.messages.commands import Accepted, RefusalKind, Refused
from tests.conftest import Server
from tests.infra.runtime.conftest import Send, envelope
from tests.support.deadlines import HOLDS_SECONDS

MUG = AddProduct(sku="MUG", name="Mug", unit_price=950, currency="GBP")
RENAME = RenameProduct(sku="MUG", name="Cup")


async def test_a_command_is_answered_with_where_its_event_stands(send: Send, store: EventStore) -> None:
    """Stream, version and position of what is committed by then."""
    answer = await send(MUG, "c1")
    (event,) = await store.load("product-MUG")
    assert answer == Accepted("product-MUG", 1, event.position, event.partition)
    assert event.name == "catalog.ProductAdded"
    assert (event.metadata.causation_id, event.metadata.actor) == ("c1", "tester")


async def test_a_repeated_command_gets_the_first_answer_and_does_nothing(
    send: Send, store: EventStore
) -> None:
    """Also when other things have happened since."""
    await send(MUG, "c1")
    first = await send(RENAME, "c2")
    await send(RenameProduct(sku="MUG", name="Beaker"), "c3")
    assert await send(RENAME, "c2") == first
    assert len(await store.load("product-MUG")) == 3


async def test_a_repeated_command_that_would_now_be_refused_gets_the_first_answer(send: Send) -> None:
    """What counts is what it did then."""
    first = await send(MUG, "c1")
    await send(RepriceProduct(sku="MUG", unit_price=1), "c2")
    assert await send(MUG, "c1") == first


async def test_an_id_of_another_command_is_refused(send: Send, store: EventStore) -> None:
    """One key, one command."""
    await send(MUG, "c1")
    answer = await send(RENAME, "c1")
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.REUSED
    assert len(await store.load("product-MUG")) == 1


async def test_a_command_sent_a_hundred_times_at_once_is_carried_out_once(
    send: Send, store: EventStore
) -> None:
    """Every sender gets the same answer."""
    answers = await asyncio.gather(*(send(MUG, "c1") for _ in range(100)))
    assert len(set(answers)) == 1
    assert len(await store.load("product-MUG")) == 1


async def test_rules_refuse_and_change_nothing(send: Send, store: EventStore) -> None:
    """A rule of the domain, and a thing that does not exist, are told apart."""
    await send(MUG, "c1")
    taken = await send(AddProduct(sku="MUG", name="Other", unit_price=1, currency="GBP"), "c2")
    nobody = await send(RenameProduct(sku="NONE", name="x"), "c3")
    assert isinstance(taken, Refused)
    assert isinstance(nobody, Refused)
    assert (taken.kind, nobody.kind) == (RefusalKind.REJECTED, RefusalKind.UNKNOWN)
    assert len(await store.read_log(0, 10)) == 1


async def test_an_unexpected_version_is_stale(send: Send) -> None:
    """Whoever expects a version gets it or is told the one there is."""
    await send(MUG, "c1")
    stale = await send(RENAME, "c2", expected_versions=(7, 8))
    assert isinstance(stale, Refused)
    assert (stale.kind, stale.version) == (RefusalKind.STALE, 1)
    assert isinstance(await send(RENAME, "c2", expected_versions=(7, 1)), Accepted)
    # Sent again, its expectation no longer holds, and it is answered all the same.
    assert isinstance(await send(RENAME, "c2", expected_versions=(7, 1)), Accepted)


@pytest.mark.parametrize(
    ("expectation", "of_new", "of_old"),
    [
        ({"expected_versions": ()}, False, False),
        ({"expected_versions": (0,)}, True, False),
        ({"expected_versions": (1, 2)}, False, True),
        ({"must_exist": True}, False, True),
        ({}, True, True),
    ],
)
async def test_what_is_expected_of_a_thing_holds_or_nothing_is_done(
    send: Send, store: EventStore, expectation: dict[str, Any], *, of_new: bool, of_old: bool
) -> None:
    """Of one that is not there yet, and of one that is."""
    answers = [await send(MUG, "c1", **expectation)]
    await send(MUG, "c2")
    answers.append(await send(RENAME, "c3", **expectation))
    for answer, version, holds in zip(answers, (0, 1), (of_new, of_old), strict=True):
        if holds:
            assert isinstance(answer, Accepted), answer
        else:
            assert isinstance(answer, Refused)
            assert (answer.kind, answer.version) == (RefusalKind.STALE, version)
    assert len(await store.read_log(0, 10)) == 1 + of_old


async def test_a_late_command_is_not_run(send: Send, store: EventStore, nats: Server) -> None:
    """Its sender has given up; running it would surprise everybody."""
    connection = await nats_py.connect(nats.url)
    late = envelope("late", deadline=datetime.now(UTC) - timedelta(milliseconds=1))
    reply = await connection.request(
        command_subject("catalog", "AddProduct"),
        msgspec.json.encode(MUG),
        timeout=HOLDS_SECONDS,
        headers=to_headers(late),
    )
    await connection.close()
    answer = decode_answer(reply.data)
    assert isinstance(answer, Refused)
    assert answer.kind is RefusalKind.EXPIRED
    assert await store.head() == 0


async def test_what_is_no_command_is_invalid(send: Send) -> None:
    """Names, fields and values are checked before anything else."""
    for body, name in (
        (b"{}", "Nonsense"),
        (b"not json", "AddProduct"),
        (b'{"sku":"MUG","colour":"red"}', "RenameProduct"),
        (b'{"sku":"MUG","unit_price":-1}', "RepriceProduct"),
    ):
        answer = await send(body, "c1", name=name)
        assert isinstance(answer, Refused)
        assert answer.kind is RefusalKind.INVALID, answer


async def test_many_commands_on_one_stream_all_get_through(send: Send, store: EventStore) -> None:
    """They take turns; none is lost to a conflict."""
    await send(MUG, "c0")
    answers = await asyncio.gather(
        *(send(RenameProduct(sku="MUG", name=f"Mug {n}"), f"r{n}") for n in range(200))
    )
    assert [answer for answer in answers if not isinstance(answer, Accepted)] == []
    assert [event.version for event in await store.load("product-MUG")] == list(range(1, 202))
