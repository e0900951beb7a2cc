"""What the gateway counts and times, by route, never by path."""

from __future__ import annotations

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, Metric, generate_latest

from infra.observability.metrics.registry import FAST

METHODS = frozenset({"GET", "POST", "OPTIONS", "HEAD", "PUT", "PATCH", "DELETE"})


class Metrics:
    """One registry for one gateway."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        self._requests = Counter(
            "orderfold_http_requests",
            "HTTP requests answered, by route, never by path",
            ("route", "method", "status"),
            registry=self._registry,
        )
        self._seconds = Histogram(
            "orderfold_http_request_seconds",
            "From a request's arrival to its answer, in seconds",
            ("route", "method"),
            buckets=FAST,
            registry=self._registry,
        )
        self.in_flight = Gauge(
            "orderfold_http_requests_in_flight", "HTTP requests under way", registry=self._registry
        )
        self._webhooks = Counter(
            "orderfold_webhooks",
            "Signed webhooks of the payment provider, by what became of them",
            ("outcome",),
            registry=self._registry,
        )
        # Looking a child up by its labels costs more than counting with it.
        self._children: dict[tuple[str, str, int], tuple[Counter, Histogram]] = {}

    def answered(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count one answer."""
        name = method if method in METHODS else "OTHER"
        children = self._children.get((route, name, status))
        if children is None:
            children = (self._requests.labels(route, name, str(status)), self._seconds.labels(route, name))
            self._children[route, name, status] = children
        children[0].inc()
        children[1].observe(seconds)

    def webhook(self, outcome: str) -> None:
        """Count one webhook."""
        self._webhooks.labels(outcome).inc()

    def families(self) -> Iterator[Metric]:
        """Every metric, with what was counted so far."""
        return iter(self._registry.collect())

    def exposition(self) -> bytes:
        """Everything, in Prometheus' text format."""
        return generate_latest(self._registry)
