"""The saga machinery is generic: a second, small process manager has timers, retries and compensation."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from infra.messages.commands import RefusalKind, Refused
from tests.conftest import Server
from tests.contexts.fulfilment.process import ACCEPTED, POLICY, Process, Stage, eventually, stage
from tests.infra.sagas.trials import Failed, Retried, Retry, TimedOut, Took, TrialPaid, TrialStarted, trials

OPEN, CLOSE = "accounts.OpenAccount", "accounts.CloseAccount"
started, paid = TrialStarted(account="ada"), TrialPaid(account="ada")
ID = f"trials-ada:{OPEN}"


@pytest.fixture
async def play(store_url: str, nats: Server) -> AsyncIterator[Stage]:
    """A fresh store and nats-server, and an accounts context that accepts every command by default."""
    async with stage(store_url, nats.url) as ready:
        yield ready


async def events(process: Process) -> list[object]:
    """The process manager's own events about the account."""
    records = await process.store.load("trials-ada")
    return [process.streams.codec.decode(record.name, record.data) for record in records]


async def test_a_command_is_tried_until_it_is_accepted_and_not_sent_again_after_a_restart(
    play: Stage,
) -> None:
    busy = Refused(RefusalKind.BUSY, "busy")
    play.others.answer(OPEN, busy, busy, ACCEPTED)
    async with play.process(context=trials(POLICY)) as process:
        await process.receives(started, paid)
        await process.settled()
    assert play.others.ids(OPEN) == [ID, ID, ID]
    async with play.process(context=trials(POLICY)) as process:
        await process.settled()
    assert play.others.ids(OPEN) == [ID, ID, ID]


async def test_a_timer_that_fires_compensates(play: Stage) -> None:
    async with play.process(context=trials(POLICY)) as process:
        await process.receives(started)
        await eventually(lambda: play.others.names() == [OPEN, CLOSE], "the compensation")
        assert await events(process) == [Took(account="ada", received="started"), TimedOut(account="ada")]
        assert await process.store.notes("timer") == {}


async def test_a_timer_that_is_cancelled_is_forgotten(play: Stage) -> None:
    async with play.process(context=trials(POLICY)) as process:
        await process.receives(started, paid)
        assert await process.store.notes("timer") == {}


async def test_a_command_that_fails_is_recorded_and_sent_again_under_its_id(play: Stage) -> None:
    play.others.answer(OPEN, Refused(RefusalKind.INVALID, "no such plan"), ACCEPTED)

    async with play.process(context=trials(POLICY)) as process:
        await process.receives(started, paid)

        async def failed() -> bool:
            return Failed(account="ada", command_id=ID, reason="no such plan") in await events(process)

        await eventually(failed, "the failure")
        assert set(await process.store.notes("failed")) == {ID}
        await process.is_told(Retry(account="ada"))
        await process.settled()
        assert (await events(process))[-1] == Retried(account="ada")
        assert await process.store.notes("failed") == {}
    assert play.others.ids(OPEN) == [ID, ID]
