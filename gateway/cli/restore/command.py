"""`orderfold restore`: after backups were put in place, what does not fit together, and how it is mended."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

from nats.aio.client import Client
from rich.console import Console
from rich.table import Table

from contexts import NAMES as CONTEXTS
from gateway.cli.connection import running_settings
from gateway.cli.errors import CommandFailed, Differs
from gateway.cli.restore.applying import apply
from gateway.cli.restore.findings import Findings, look
from infra.embedded.data_folder import DataFolder, FolderUnusable
from infra.embedded.servers import ServerFailed
from infra.embedded.stack import EmbeddedStack
from infra.event_store.store import EventStore, StoreUnavailable
from infra.mongo import Mongo, MongoUnavailable, TransactionConflict
from infra.nats.connection import NatsUnavailable, connect
from infra.nats.jetstream import JetStreamRefused
from infra.settings import Settings, SettingsInvalid
from infra.sockets import PortTaken
from read_models.monitoring.lag import Ahead

LEAD_SECONDS = 10.0
MOST_SHOWN = 20

TROUBLES = (
    FolderUnusable,
    JetStreamRefused,
    MongoUnavailable,
    NatsUnavailable,
    PortTaken,
    ServerFailed,
    SettingsInvalid,
    StoreUnavailable,
    TransactionConflict,
)


def check(data: Path | None, *, discard: bool, out: Console) -> None:
    """Tell what does not fit together; raises Differs if anything, or CommandFailed if it cannot be told."""
    found = asyncio.run(_run(data, discard=discard, change=False, out=out))
    if not found.whole:
        out.print("mend it with `orderfold restore apply`, then run `orderfold up` and `orderfold verify`")
        raise Differs


def mend(data: Path | None, *, discard: bool, out: Console) -> None:
    """Make one state of it; raises CommandFailed."""
    found = asyncio.run(_run(data, discard=discard, change=True, out=out))
    if not found.whole:
        out.print("done; run `orderfold up` and `orderfold verify`")


async def _run(data: Path | None, *, discard: bool, change: bool, out: Console) -> Findings:
    settings = running_settings(data)
    try:
        async with _servers(settings) as reached, _opened(reached) as (nats, mongo, stores):
            found = await look(reached, nats, mongo, stores, discard=discard)
            show(found, out)
            if change:
                await apply(found, nats, mongo, stores, settings.data, lambda line: _say(out, line))
            return found
    except TROUBLES as error:
        raise CommandFailed(str(error)) from None


@contextlib.asynccontextmanager
async def _servers(settings: Settings) -> AsyncIterator[Settings]:
    """The servers of the embedded stack, started for this command alone; servers elsewhere as they are."""
    if "ORDERFOLD_NATS_URL" in os.environ:
        yield settings
        return
    # As it was last started: its stores may be in PostgreSQL.
    environ = {**DataFolder(settings.data).read_environment(), **os.environ}
    stack = EmbeddedStack(settings.data, port=settings.port, environ=environ)
    try:
        await stack.start_servers()
        yield stack.settings
    finally:
        await stack.stop()


@contextlib.asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[tuple[Client, Mongo, Mapping[str, EventStore]]]:
    """The stores, which nobody else may be using, and the way to the streams and the read models."""
    async with contextlib.AsyncExitStack() as opened:
        nats = await connect(settings, "operator-restore")
        opened.push_async_callback(nats.close)
        mongo = Mongo(settings)
        opened.callback(mongo.close)
        stores = {}
        for context in CONTEXTS:
            stores[context] = await EventStore.open(context, settings.store_url(context))
            opened.push_async_callback(stores[context].close)
            try:
                async with asyncio.timeout(LEAD_SECONDS):
                    await stores[context].lead()
            except TimeoutError:
                raise CommandFailed(f"a process of {context} is at work: stop all of them first") from None
        yield nats, mongo, stores


def show(found: Findings, out: Console) -> None:
    """Print what was found."""
    table = Table("context", "store ends at", "stream ends at", "")
    for context, history in found.histories.items():
        table.add_row(
            context,
            f"{history.head:,}",
            "-" if history.published is None else f"{history.published:,}",
            _verdict(context, found),
        )
    out.print(table)
    for what, readers in (("inbox of", found.inboxes), ("read model", found.models)):
        for line in _told(what, readers):
            _say(out, line)
    show_losses(found, out)
    if found.whole:
        out.print("stores, streams, inboxes and read models fit together")


def _verdict(context: str, found: Findings) -> str:
    history = found.histories[context]
    count = len(history.only_published)
    if context in found.put_back:
        return f"the store lacks {count:,} published events: they are put back"
    if context in found.given_up:
        lost = f"{count:,} published events after position {history.common:,} are not in the store"
        return f"{lost}: the stream is published again"
    if context in found.shortened:
        return f"the store had ended at {found.shortened[context]:,}: what is missing is lost"
    if history.published is None or history.published < history.head:
        return "the stream is older: it is filled up from the store"
    return "the same"


def _told(what: str, readers: list[Ahead]) -> list[str]:
    """A line for each reader and context."""
    counts = Counter((ahead.reader, ahead.context) for ahead in readers)
    return [
        f"{what} {reader}: has read {context} further than it goes, in {partitions} of its partitions"
        for (reader, context), partitions in sorted(counts.items())
    ]


def show_losses(found: Findings, out: Console) -> None:
    """Print what is lost, the first of each."""
    losses = found.losses
    for order in losses.orders[:MOST_SHOWN]:
        _say(out, f"lost: order {order.order_id}, known to {', '.join(sorted(set(order.known_to)))}")
    for payment in losses.payments[:MOST_SHOWN]:
        amounts = f"{payment.held} held, {payment.captured} captured, {payment.refunded} refunded"
        _say(out, f"lost: payment of order {payment.order_id}: {amounts} {payment.currency}")
    names = Counter(event.name for event in losses.events)
    for name, count in sorted(names.items()):
        _say(out, f"lost: {count:,} {name}")
    for what, listed in (("orders", losses.orders), ("payments", losses.payments)):
        if len(listed) > MOST_SHOWN:
            _say(out, f"lost: {len(listed) - MOST_SHOWN:,} more {what}")
    if losses.provider:
        _say(out, f"the payment provider was not asked what it holds: {losses.provider}")


def _say(out: Console, line: str) -> None:
    out.print(line, highlight=False, markup=False, soft_wrap=True)
