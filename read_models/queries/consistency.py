"""Waiting until a read model includes what a caller has seen happen."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Mapping, Sequence

from infra.aio import wait_for_event
from infra.messages.commands import Token
from read_models.projection import checkpoints
from read_models.projection.checkpoints import Place
from read_models.projection.documents import ReadModels
from read_models.registry import MODELS

POLL_SECONDS = 0.01
LOOK_SECONDS = 0.25
"""Time for one look at the checkpoints, which also a caller gets who does not want to wait."""


class Behind(Exception):
    """A read model does not include a token's event yet."""

    def __init__(self, model: str, token: Token) -> None:
        super().__init__(f"{model} has not come to {token} yet")
        self.model = model
        self.token = token


async def up_to(models: ReadModels, model: str, tokens: Sequence[Token], timeout: float) -> ReadModels:
    """Wait until a model's documents include what the tokens name; raises Behind after `timeout` seconds.

    What is returned reads the collection that was waited for, even when another is live by then. Tokens of
    contexts that do not feed the model are ignored. Raises MongoUnavailable.
    """
    contexts = MODELS[model].contexts
    wanted = [token for token in tokens if token.context in contexts]
    if not wanted:
        return models
    return models.pinned(model, await _watch(models, model).wait(wanted, timeout))


class _Watch:
    """One model's checkpoints, read once for all who wait for them, and only while somebody does."""

    def __init__(self, models: ReadModels, model: str) -> None:
        self._models = weakref.ref(models)
        self._model = model
        self._waiting: dict[asyncio.Future[str], Sequence[Token]] = {}
        self._newcomer = asyncio.Event()
        self._polling: asyncio.Task[None] | None = None
        self._positions: Mapping[Place, int] = {}

    async def wait(self, tokens: Sequence[Token], timeout: float) -> str:
        """The collection that includes what the tokens name."""
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting[future] = tokens
        self._newcomer.set()
        if self._polling is None or self._polling.done():
            self._polling = asyncio.create_task(self._poll(), name=f"checkpoints of {self._model}")
        try:
            async with asyncio.timeout(max(timeout, LOOK_SECONDS)):
                return await future
        except TimeoutError:
            raise Behind(self._model, self._missing(tokens) or tokens[0]) from None
        finally:
            self._waiting.pop(future, None)

    def _missing(self, tokens: Sequence[Token]) -> Token | None:
        for token in tokens:
            if self._positions.get((token.context, token.partition), 0) < token.position:
                return token
        return None

    async def _poll(self) -> None:
        while self._waiting:
            self._newcomer.clear()
            try:
                collection, self._positions = await self._read()
            except Exception as error:  # noqa: BLE001 - those who wait get it
                for future in list(self._waiting):
                    if not future.done():
                        future.set_exception(error)
                return
            for future, tokens in list(self._waiting.items()):
                if not future.done() and self._missing(tokens) is None:
                    future.set_result(collection)
                    del self._waiting[future]
            await wait_for_event(self._newcomer, POLL_SECONDS)

    async def _read(self) -> tuple[str, dict[Place, int]]:
        models = self._models()
        assert models is not None
        collection = await models.live(self._model)
        contexts = MODELS[self._model].contexts
        return collection, await checkpoints.positions(models.mongo, collection, contexts)


_watches: weakref.WeakKeyDictionary[ReadModels, dict[str, _Watch]] = weakref.WeakKeyDictionary()


def _watch(models: ReadModels, model: str) -> _Watch:
    watches = _watches.setdefault(models, {})
    if model not in watches:
        watches[model] = _Watch(models, model)
    return watches[model]
