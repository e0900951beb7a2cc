"""Which collections hold a read model's documents: the live one, and those kept up to date beside it.

A model's first collection has the model's own name; those it is rebuilt into are `<model>@2`, `<model>@3`
and so on. A name is never used again while the database lives.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any, TypeVar

import msgspec

from infra.mongo import Access, Mongo, Transaction, encode_document, replacing
from read_models.projection.sessions import ProjectorSessions
from read_models.projection.transactions import retry_transaction

VERSIONS = "models"

T = TypeVar("T")


class Versions(msgspec.Struct, frozen=True, kw_only=True):
    """The collections of one read model.

    `live` answers queries, `previous` did before it; `versions` are kept up to date by the projectors. `next`
    numbers the next one; `switched_at` is when `live` last changed.
    """

    model: str
    live: str
    previous: str | None = None
    versions: tuple[str, ...]
    next: int = 2
    switched_at: str | None = None

    @classmethod
    def first(cls, model: str) -> Versions:
        """A model that was never rebuilt."""
        return cls(model=model, live=model, versions=(model,))


async def versions_of(access: Access, model: str) -> Versions:
    """The collections of a model; raises MongoUnavailable."""
    found = await access.find(VERSIONS, {"_id": model})
    return _read(found[0]) if found else Versions.first(model)


async def all_versions(access: Access, models: Collection[str]) -> dict[str, Versions]:
    """The collections of each model; raises MongoUnavailable."""
    found = {item["_id"]: _read(item) for item in await access.find(VERSIONS, {})}
    return {model: found.get(model) or Versions.first(model) for model in models}


def _read(item: Mapping[str, Any]) -> Versions:
    return msgspec.convert({**item, "model": item["_id"]}, Versions)


async def write_versions(transaction: Transaction, versions: Versions) -> None:
    """Put a model's collections in the place of what was known of them."""
    fields = msgspec.to_builtins(versions)
    del fields["model"]
    await transaction.write(
        VERSIONS, [replacing(versions.model, encode_document(versions.model, {**fields}))]
    )


async def transact(mongo: Mongo, work: Callable[[Transaction], Awaitable[T]]) -> T:
    """Do something in a transaction, again when somebody else wrote the same at the same time."""
    return await retry_transaction(mongo, ProjectorSessions(mongo, VERSIONS, [0]), work)
