"""What the system itself still holds of a customer: the key, events, documents, dead letters."""

from __future__ import annotations

import asyncio
import time

import msgspec

from contexts.customers.events import CustomerForgotten
from contexts.messages import wire_name
from infra.event_log.client import LogClient
from infra.mongo import Mongo
from infra.vault.key_store import KeyStore
from read_models.customers import CUSTOMERS
from read_models.projection.dead_letters import DEAD_LETTERS
from read_models.projection.versions import versions_of

LOOK_SECONDS = 0.25


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """`problems` is what keeps the customer from being forgotten; empty if nothing does."""

    events: int
    encrypted: int = msgspec.field(name="sealed")
    documents: int
    dead_letters: int
    problems: tuple[str, ...]

    forgotten: bool
    """Whether somebody asked for it: if so, what is not yet done is done within seconds."""


class CustomerUnknown(Exception):
    """Nothing was ever heard of the customer."""


class _Event(msgspec.Struct):
    personal: msgspec.Raw = msgspec.Raw()


async def gather(log: LogClient, mongo: Mongo, keys: KeyStore, customer_id: str, wait: float) -> Evidence:
    """Look, until nothing is left to be done or for so many seconds.

    Raises CustomerUnknown, ContextUnavailable, MongoUnavailable or StoreUnavailable.
    """
    end = time.monotonic() + wait
    while True:
        evidence = await _look(log, mongo, keys, customer_id)
        if not (evidence.problems and evidence.forgotten) or time.monotonic() >= end:
            return evidence
        await asyncio.sleep(LOOK_SECONDS)


async def _look(log: LogClient, mongo: Mongo, keys: KeyStore, customer_id: str) -> Evidence:
    stream = f"customer-{customer_id}"
    events = [event async for page in log.read("customers", stream=stream) for event in page]
    destroyed = await keys.destroyed(customer_id)
    if not events and not destroyed:
        raise CustomerUnknown(f"there never was a customer {customer_id}")
    problems = [] if destroyed else ["the customer's key was not destroyed"]
    forgotten = bool(events) and events[-1].name == wire_name(CustomerForgotten)
    if not events:
        problems.append("the key was destroyed, but the store has no event of the customer: is it a backup?")
    elif not forgotten:
        problems.append(f"the customer was not forgotten: the last event is {events[-1].name}")
    personal = {
        event.event_id: held
        for event in events
        if (held := bytes(msgspec.json.decode(event.data, type=_Event).personal))
    }
    problems += [
        f"{event_id} holds personal data open: it is older than the keys"
        for event_id, held in personal.items()
        if not held.startswith(b'"')
    ]
    documents = dead = 0
    for collection in (await versions_of(mongo, CUSTOMERS.name)).versions:
        found = await mongo.find(collection, {"_id": customer_id})
        parked = await mongo.find(
            DEAD_LETTERS, {"collection": collection, "key": customer_id}, without=("data", "metadata")
        )
        documents += len(found)
        dead += len(parked)
        if any(item.get("personal") is not None for item in found):
            waits = f": {len(parked)} dead letters wait before it can be" if parked else ""
            problems.append(f"the document in {collection} is not erased{waits}")
    return Evidence(
        events=len(events),
        encrypted=len(personal),
        documents=documents,
        dead_letters=dead,
        problems=tuple(problems),
        forgotten=forgotten,
    )
