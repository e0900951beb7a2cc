"""What can be asked of a running process: its metrics, whether it lives, whether it is ready to work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import msgspec
import structlog
from prometheus_client import CollectorRegistry, generate_latest

from infra.observability.metrics.gauges import Sample, Samples
from infra.observability.metrics.registry import REGISTRY

LOOK_SECONDS = 3.0
"""How long figures and checks may take; Prometheus waits 10 s by default."""

Check = Callable[[], Awaitable[None]]
"""Returns if a thing that is needed is there; raises what is wrong with it."""
Collector = Callable[[], Awaitable[Iterable[Sample]]]
"""Looks figures up; those it cannot find out it leaves away."""

log = structlog.get_logger(__name__)


class Checked(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that is needed; `problem` says what is wrong with it."""

    ok: bool
    problem: str = ""


class Readiness(msgspec.Struct, frozen=True):
    """Whether a process can do its work, and what is missing if not."""

    ready: bool
    checks: dict[str, Checked]


class Monitor:
    """Answers for one process; `infra.observability.health.http` serves it on a port."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._checks: dict[str, Check] = {}
        self._looks: list[Collector] = []

    def require(self, name: str, check: Check) -> None:
        """The process is not ready unless the check returns."""
        self._checks[name] = check

    def look(self, look: Collector) -> None:
        """Collector these figures up whenever metrics are asked for."""
        self._looks.append(look)

    async def readiness(self) -> Readiness:
        """Try everything that is needed."""
        found = await asyncio.gather(*map(_checked, self._checks.values()))
        checks = dict(zip(self._checks, found, strict=True))
        return Readiness(all(item.ok for item in found), checks)

    async def samples(self) -> list[Sample]:
        """Every figure that can be found out now."""
        found = await asyncio.gather(*map(_looked, self._looks))
        return [sample for samples in found for sample in samples]

    def exposition(self, samples: Iterable[Sample]) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry) + generate_latest(Samples(samples))


async def _checked(check: Check) -> Checked:
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            await check()
    except TimeoutError:
        return Checked(ok=False, problem=f"no answer within {LOOK_SECONDS:g} s")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return Checked(ok=False, problem=str(error) or type(error).__name__)
    return Checked(ok=True)


async def _looked(look: Collector) -> list[Sample]:
    """What was found; nothing rather than something old if it cannot be found out."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return list(await look())
    except Exception as error:  # noqa: BLE001 - its samples are missing, and alerts tell so
        log.debug("figures are not known", look=getattr(look, "__qualname__", repr(look)), error=repr(error))
        return []
