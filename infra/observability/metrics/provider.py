"""Counts and times requests to the payment provider, by operation and outcome."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping

from infra.observability.metrics.registry import (
    PAYMENTS_COMPARED_SECONDS,
    PAYMENTS_DIFFERING,
    PAYMENTS_MISMATCHED,
    PROVIDER_REQUEST_SECONDS,
    PROVIDER_REQUESTS,
)

FAULT = "fault"
"""It answered that it failed, answered nonsense, or could not be reached."""


class ProviderRequest:
    """One request under way; whoever has an answer says what it came to."""

    outcome = FAULT


@contextlib.contextmanager
def provider_request(operation: str) -> Iterator[ProviderRequest]:
    """Time one request; without a word about its outcome it was a fault."""
    request = ProviderRequest()
    begun = time.perf_counter()
    try:
        yield request
    finally:
        PROVIDER_REQUESTS.labels(operation, request.outcome).inc()
        PROVIDER_REQUEST_SECONDS.labels(operation).observe(time.perf_counter() - begun)


def books_compared(differing: Mapping[str, int], at: float) -> None:
    """Tell how many payments differ, by kind, and when that was found (seconds since 1970)."""
    for kind, count in differing.items():
        PAYMENTS_DIFFERING.labels(kind).set(count)
    PAYMENTS_COMPARED_SECONDS.set(at)


def payment_mismatched() -> None:
    """Count a payment that the provider did not do as it was asked."""
    PAYMENTS_MISMATCHED.inc()
