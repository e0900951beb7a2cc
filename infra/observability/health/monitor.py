"""What can be asked of a running process: its metrics, whether it lives, whether it is ready to work."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable

import structlog
from prometheus_client import CollectorRegistry, generate_latest

from infra.observability.health.readiness import Probe, Readiness, evaluate, passed
from infra.observability.metrics.gauges import Sample, Samples
from infra.observability.metrics.registry import REGISTRY

LOOK_SECONDS = 3.0
"""How long figures and checks may take; Prometheus waits 10 s by default."""

Collector = Callable[[], Awaitable[Iterable[Sample]]]
"""Looks figures up; those it cannot find out it leaves away."""

log = structlog.get_logger(__name__)


class Monitor:
    """Answers for one process; `infra.observability.health.http` serves it on a port."""

    def __init__(self, registry: CollectorRegistry = REGISTRY) -> None:
        self._registry = registry
        self._probes: dict[str, Probe] = {}
        self._looks: list[Collector] = []

    def require(self, name: str, probe: Probe) -> None:
        """The process is not ready unless the probe returns."""
        self._probes[name] = probe

    def look(self, look: Collector) -> None:
        """Collect these samples whenever metrics are asked for."""
        self._looks.append(look)

    async def readiness(self) -> Readiness:
        """Try everything that is needed."""
        checks = await evaluate(self._probes, LOOK_SECONDS)
        return Readiness(passed(checks), checks)

    async def samples(self) -> list[Sample]:
        """Every figure that can be found out now."""
        found = await asyncio.gather(*map(_looked, self._looks))
        return [sample for samples in found for sample in samples]

    def exposition(self, samples: Iterable[Sample]) -> bytes:
        """Everything in Prometheus' text format."""
        return generate_latest(self._registry) + generate_latest(Samples(samples))


async def _looked(look: Collector) -> list[Sample]:
    """What was found; nothing rather than something old if it cannot be found out."""
    try:
        async with asyncio.timeout(LOOK_SECONDS):
            return list(await look())
    except Exception as error:  # noqa: BLE001 - its samples are missing, and alerts tell so
        log.debug("metrics not collected", look=getattr(look, "__qualname__", repr(look)), error=repr(error))
        return []
