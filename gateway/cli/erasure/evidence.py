"""What the system itself still holds of a customer: the key, events, documents, dead letters."""

from __future__ import annotations

import msgspec

from contexts.customers.events import CustomerForgotten
from contexts.messages import wire_name
from infra.log_client import LogClient
from infra.mongo import Mongo
from infra.vault.key_store import KeyStore
from read_models.customers import CUSTOMERS
from read_models.dead_letters import DEAD_LETTERS
from read_models.versions import versions_of


class Evidence(msgspec.Struct, frozen=True, kw_only=True):
    """`problems` is what keeps the customer from being forgotten; empty if nothing does."""

    events: int
    sealed: int
    documents: int
    dead_letters: int
    problems: tuple[str, ...]


class _Event(msgspec.Struct):
    personal: msgspec.Raw = msgspec.Raw()


async def gather(log: LogClient, mongo: Mongo, keys: KeyStore, customer_id: str) -> Evidence:
    """Look everywhere; raises ContextUnavailable, MongoUnavailable or StoreUnavailable."""
    stream = f"customer-{customer_id}"
    events = [event async for page in log.read("customers", stream=stream) for event in page]
    problems = [] if await keys.destroyed(customer_id) else ["the customer's key was not destroyed"]
    if not events:
        problems.append("there never was such a customer")
    elif events[-1].name != wire_name(CustomerForgotten):
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
        documents += len(found)
        problems += [
            f"the document in {collection} is not erased"
            for item in found
            if item.get("personal") is not None
        ]
        dead += len(
            await mongo.find(
                DEAD_LETTERS, {"collection": collection, "key": customer_id}, without=("data", "metadata")
            )
        )
    return Evidence(
        events=len(events),
        sealed=len(personal),
        documents=documents,
        dead_letters=dead,
        problems=tuple(problems),
    )
