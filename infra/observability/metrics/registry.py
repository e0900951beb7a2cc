"""What Orderfold's processes count and time as they work: one registry per process, in Prometheus' terms.

What is only looked up when somebody asks is in `gauges.py`. Labels name contexts, commands, models and
the like, never an order: there are as many series after a million orders as after one.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)

# A series more for every counter, for a time that Prometheus does not use.
disable_created_metrics()  # type: ignore[no-untyped-call]

REGISTRY = CollectorRegistry()
"""What this process exposes beside what is looked up."""

ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)

FAST = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Seconds: what usually takes milliseconds."""
SLOW = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 1800.0)
"""Seconds: what takes parts of a second as long as all is well."""
COUNTS = (1.0, 2.0, 3.0, 5.0, 8.0, 13.0, 21.0, 34.0, 55.0, 100.0, 200.0, 500.0)

COMMANDS = Counter(
    "orderfold_commands", "Commands answered", ("context", "command", "outcome"), registry=REGISTRY
)
COMMAND_SECONDS = Histogram(
    "orderfold_command_seconds",
    "From a command's arrival at its context to its answer, in seconds",
    ("context", "command"),
    buckets=FAST,
    registry=REGISTRY,
)
APPEND_EVENTS = Histogram(
    "orderfold_append_events", "Events of one append", ("context",), buckets=COUNTS, registry=REGISTRY
)
GROUP_COMMIT_APPENDS = Histogram(
    "orderfold_group_commit_appends",
    "Appends that shared one commit",
    ("context",),
    buckets=COUNTS,
    registry=REGISTRY,
)
STORE_COMMIT_SECONDS = Histogram(
    "orderfold_store_commit_seconds",
    "One commit of an event store, written and synced, in seconds",
    ("context",),
    buckets=FAST,
    registry=REGISTRY,
)
STORE_READ_SECONDS = Histogram(
    "orderfold_store_read_seconds",
    "One read of an event store, waiting for others included, in seconds",
    ("context",),
    buckets=FAST,
    registry=REGISTRY,
)
TIMERS_SET = Counter("orderfold_timers_set", "Timers put on the clock", ("context",), registry=REGISTRY)
TIMERS_FIRED = Counter("orderfold_timers_fired", "Timers that rang", ("context",), registry=REGISTRY)

UNKNOWN_EVENTS = Counter(
    "orderfold_unknown_events",
    "Events of types that this build does not know: a newer one has recorded them",
    ("reader",),
    registry=REGISTRY,
)
PROJECTED_EVENTS = Counter(
    "orderfold_projected_events",
    "Events whose effect was committed in a read model",
    ("model",),
    registry=REGISTRY,
)
PROJECTOR_COMMIT_SECONDS = Histogram(
    "orderfold_projector_commit_seconds",
    "One transaction of a projector, from its first read to its commit, in seconds",
    ("model",),
    buckets=FAST,
    registry=REGISTRY,
)
PROJECTION_DELAY_SECONDS = Histogram(
    "orderfold_projection_delay_seconds",
    "From the time of a batch's oldest event to its commit in the read model, in seconds",
    ("model",),
    buckets=SLOW,
    registry=REGISTRY,
)

PROVIDER_REQUESTS = Counter(
    "orderfold_provider_requests",
    "Requests to the payment provider",
    ("operation", "outcome"),
    registry=REGISTRY,
)
PROVIDER_REQUEST_SECONDS = Histogram(
    "orderfold_provider_request_seconds",
    "One request to the payment provider, in seconds",
    ("operation",),
    buckets=SLOW,
    registry=REGISTRY,
)
PAYMENTS_DIFFERING = Gauge(
    "orderfold_payments_differing",
    "Payments of which the provider's books and ours say different things, by what differs",
    ("kind",),
    registry=REGISTRY,
)
PAYMENTS_COMPARED_SECONDS = Gauge(
    "orderfold_payments_compared_timestamp_seconds",
    "When the provider's books were last compared with ours, in seconds since 1970; 0: they are not",
    registry=REGISTRY,
)
PAYMENTS_MISMATCHED = Counter(
    "orderfold_payments_mismatched",
    "Payments that the provider did not do as it was asked",
    registry=REGISTRY,
)
MONGO_COMMAND_SECONDS = Histogram(
    "orderfold_mongo_command_seconds",
    "One command to MongoDB, in seconds; of a scan with what was done with its documents",
    ("command",),
    buckets=FAST,
    registry=REGISTRY,
)
MONGO_FAILURES = Counter(
    "orderfold_mongo_failures", "Commands to MongoDB that failed", ("command",), registry=REGISTRY
)
