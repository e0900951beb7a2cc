"""Counts and times requests to the payment provider, by operation and outcome."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

from infra.metrics import PROVIDER_REQUEST_SECONDS, PROVIDER_REQUESTS

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
