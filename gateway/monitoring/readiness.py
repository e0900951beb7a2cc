"""What the gateway needs: NATS, MongoDB, keys and every context; and how far read models are behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterable

import msgspec

from contexts import NAMES as CONTEXTS
from gateway.auth.jwks import KeySet
from gateway.context_client import NatsLink
from gateway.problems import Problem
from infra.embedded.stack import DOCUMENTS
from infra.event_log.server import ContextUnavailable
from infra.mongo import MongoUnavailable
from infra.observability.health.readiness import Check, Probe, Readiness, evaluate, passed
from read_models.monitoring.lag import Ahead, Lag, live_ahead, live_lag
from read_models.projection.documents import ReadModels
from read_models.projection.losses import losses_of_live
from read_models.registry import MODELS

CHECK_SECONDS = 2.0
LOSS_SECONDS = 10.0
"""How often to look whether documents were deleted by hand."""
FRESH_SECONDS = 1.0
"""Anybody may ask; what they get may be this old, so that asking often costs nothing."""


class ModelLag(msgspec.Struct, frozen=True):
    """How far a read model is behind: in events, and in seconds since the oldest of them; null if unknown."""

    events: int | None
    seconds: float | None
    partitions: list[Lag] = []
    """Those that are behind."""


class Report(Readiness, frozen=True):
    """Everything that was found out."""

    projectors: dict[str, ModelLag]


class OwnReport(msgspec.Struct, frozen=True):
    """Whether this process can be sent requests."""

    serving: bool
    checks: dict[str, Check]


class GatewayReadiness:
    """Finds out whether requests can be served; asked often, it looks once a second."""

    def __init__(self, contexts: NatsLink, mongo_check: Probe, models: ReadModels, keys: KeySet) -> None:
        self._contexts = contexts
        self._mongo_check = mongo_check
        self._models = models
        self._keys = keys
        self._looking = asyncio.Lock()
        self._report: Report | None = None
        self._looked_at = 0.0
        self._losses: dict[str, Check] = {}
        self._losses_at = float("-inf")

    async def report(self) -> Report:
        """What was found out in the last second."""
        async with self._looking:
            if self._report is None or time.monotonic() - self._looked_at > FRESH_SECONDS:
                self._report = await self._look()
                self._looked_at = time.monotonic()
            return self._report

    async def _look(self) -> Report:
        own, shared, contexts, customer_keys, lags, ahead = await asyncio.gather(
            self._own_checks(),
            evaluate({"mongodb": self._mongo_check}, CHECK_SECONDS),
            evaluate({f"context:{name}": self._context(name) for name in CONTEXTS}, CHECK_SECONDS),
            self._customer_keys(),
            asyncio.gather(*(self._lag(name) for name in MODELS)),
            asyncio.gather(*(self._ahead(name) for name in MODELS)),
        )
        checks = {
            **own,
            **shared,
            "customer-keys": customer_keys,
            "read-models": _models_check(ahead),
            **await self._lost_documents(),
            **contexts,
        }
        return Report(passed(checks), checks, dict(zip(MODELS, lags, strict=True)))

    async def _own_checks(self) -> dict[str, Check]:
        keys = Check(self._keys.problem is None, self._keys.problem)
        return {**await evaluate({"nats": self._nats}, CHECK_SECONDS), "keys": keys}

    async def _lost_documents(self) -> dict[str, Check]:
        """A check for each read model of which documents or checkpoints were deleted by hand."""
        if time.monotonic() - self._losses_at > LOSS_SECONDS:
            try:
                async with asyncio.timeout(CHECK_SECONDS):
                    self._losses = {
                        f"{DOCUMENTS}{name}": Check(ok=False, problem=problem)
                        for name, problem in (await losses_of_live(self._models.mongo, MODELS)).items()
                    }
            except (MongoUnavailable, TimeoutError):
                return self._losses  # the check of MongoDB says so
            self._losses_at = time.monotonic()
        return self._losses

    async def own(self) -> OwnReport:
        """What only this process may lack.

        What all gateways lack alike is left away: none would be asked any more if a context were gone,
        not even for what has nothing to do with it.
        """
        checks = await self._own_checks()
        return OwnReport(passed(checks), checks)

    async def _customer_keys(self) -> Check:
        """Whether customers' data can be opened; that some cannot is told, and the others are served."""
        try:
            health = await self._contexts.key_health()
        except (Problem, ContextUnavailable) as error:
            # That customers does not answer is a check of its own.
            return Check(ok=True, problem=f"not known: {error}")
        return Check(not health.lasting, health.problem or None)

    async def _nats(self) -> None:
        self._contexts.logs  # noqa: B018 - raises a Problem while there is no connection

    def _context(self, name: str) -> Probe:
        async def answers() -> None:
            await self._contexts.logs.heads(name)

        return answers

    async def _ahead(self, model: str) -> list[Ahead]:
        """Where a model has read more than there is; nothing where that cannot be told."""
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                return await live_ahead(self._models, self._contexts.logs, model)
        except (Problem, ContextUnavailable, MongoUnavailable, TimeoutError):
            return []

    async def _lag(self, model: str) -> ModelLag:
        try:
            async with asyncio.timeout(CHECK_SECONDS):
                by_context = await live_lag(self._models, self._contexts.logs, model)
        except (Problem, MongoUnavailable, TimeoutError):
            return ModelLag(None, None)
        found: list[Lag] = []
        for lags in by_context.values():
            if lags is None:
                return ModelLag(None, None)
            found += lags
        return ModelLag(
            sum(item.events for item in found), max((item.seconds for item in found), default=0.0), found
        )


def _models_check(ahead: Iterable[list[Ahead]]) -> Check:
    """Documents of what never happened are not to be shown as if all was well."""
    first = next((found[0] for found in ahead if found), None)
    return Check(first is None, None if first is None else str(first))
