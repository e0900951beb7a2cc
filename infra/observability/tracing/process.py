"""Turns tracing on for one process, if it is asked for."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from infra.observability.tracing.spans import SWITCH
from infra.settings import Settings


def tracing_is_on() -> bool:
    """Whether this process traces."""
    return SWITCH.tracer is not None


@contextlib.contextmanager
def exporting(service: str, settings: Settings) -> Iterator[None]:
    """Trace inside this, if the settings name a collector; in the end send what is left.

    `service` is the name the process's spans are found by.
    """
    if not settings.otlp_endpoint:
        yield
        return
    # Here, so that a process without traces has nothing of it in memory.
    from infra.observability.tracing.sdk import SdkTracer  # noqa: PLC0415

    tracer = SdkTracer(service, settings.otlp_endpoint, settings.trace_sampling)
    SWITCH.tracer = tracer
    try:
        yield
    finally:
        SWITCH.tracer = None
        tracer.stop()
