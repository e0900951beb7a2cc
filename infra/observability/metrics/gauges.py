"""What is looked up only when somebody asks for the metrics: positions, lags, counts kept elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector


@dataclass(frozen=True, eq=False)
class Figure:
    """A metric whose value somebody else keeps."""

    name: str
    help: str
    labels: tuple[str, ...] = ()
    counts: bool = False
    """Whether it only ever grows while its process lives."""

    def family(self) -> CounterMetricFamily | GaugeMetricFamily:
        """The metric without samples."""
        kind = CounterMetricFamily if self.counts else GaugeMetricFamily
        return kind(self.name, self.help, labels=self.labels)


class Sample(NamedTuple):
    """A figure's value for some labels."""

    figure: Figure
    labels: tuple[str, ...]
    value: float


STORE_HEAD = Figure("orderfold_store_head", "Position of the last event of a context's store", ("context",))
LEADING = Figure("orderfold_leading", "Whether this process leads the context: 1 or 0", ("context",))
RELAY_POSITION = Figure(
    "orderfold_relay_position", "Up to this position a context's events are in JetStream", ("context",)
)
RELAY_LAG_EVENTS = Figure(
    "orderfold_relay_lag_events", "Positions from the last event in JetStream to the store's", ("context",)
)
RELAY_OLDEST_SECONDS = Figure(
    "orderfold_relay_oldest_seconds", "Age of the oldest event not yet in JetStream, in seconds", ("context",)
)
RELAY_PUBLISHED = Figure(
    "orderfold_relay_published", "Events published to JetStream", ("context",), counts=True
)
RELAY_REFILLS = Figure(
    "orderfold_relay_refills",
    "How often JetStream had lost events and was filled again",
    ("context",),
    counts=True,
)
RELAY_CONFLICTS = Figure(
    "orderfold_relay_conflicts", "How often another relay had written in between", ("context",), counts=True
)
RELAY_HOLES = Figure("orderfold_relay_holes", "Messages missing inside a context's stream", ("context",))
RELAY_UNFIT = Figure(
    "orderfold_relay_unfit",
    "Whether a context's stream has another form than it should, or does not take events: 1 or 0",
    ("context",),
)
INBOX_DEAD_LETTERS = Figure(
    "orderfold_inbox_dead_letters",
    "Facts of other contexts that wait because a context could not take one of their key",
    ("context",),
)

PROJECTOR_LAG_EVENTS = Figure(
    "orderfold_projector_lag_events",
    "Events a read model has not projected yet, of all partitions",
    ("model",),
)
PROJECTOR_LAG_SECONDS = Figure(
    "orderfold_projector_lag_seconds", "Age of the oldest event not yet projected, in seconds", ("model",)
)
DEAD_LETTERS = Figure(
    "orderfold_dead_letters",
    "Events that wait because one of their document could not be applied",
    ("model",),
)
DOCUMENTS_LOST = Figure(
    "orderfold_documents_lost",
    "Whether documents or checkpoints of a read model were deleted by hand: 1 or 0",
    ("model",),
)
FULFILMENTS = Figure("orderfold_fulfilments", "Fulfilments at a stage", ("stage",))
FULFILMENT_OLDEST_SECONDS = Figure(
    "orderfold_fulfilment_oldest_seconds", "How long the oldest has been at a stage, in seconds", ("stage",)
)
FULFILMENTS_STUCK = Figure(
    "orderfold_fulfilments_stuck", "Fulfilments that wait for an operator: a command of theirs failed"
)

NATS_CONNECTED = Figure(
    "orderfold_nats_connected", "Whether a connection to NATS is up: 1 or 0", ("connection",)
)
NATS_RECONNECTS = Figure(
    "orderfold_nats_reconnects", "How often a connection to NATS was restored", ("connection",), counts=True
)
NATS_SYNC_ALWAYS = Figure(
    "orderfold_nats_sync_always", "Whether nats-server syncs JetStream's files at every write: 1 or 0"
)
JETSTREAM_MESSAGES = Figure("orderfold_jetstream_messages", "Messages of a stream", ("stream",))
JETSTREAM_BYTES = Figure("orderfold_jetstream_bytes", "Size of a stream, in bytes", ("stream",))
LOOP_SECONDS = Figure(
    "orderfold_event_loop_seconds", "How long the process's event loop took to answer this scrape, in seconds"
)


class Samples(Collector):
    """Exposes samples, each figure once, whoever looked them up."""

    def __init__(self, samples: Iterable[Sample]) -> None:
        self._samples = list(samples)

    def collect(self) -> Iterator[Metric]:
        """The metric families of the samples."""
        families: dict[Figure, CounterMetricFamily | GaugeMetricFamily] = {}
        for sample in self._samples:
            family = families.get(sample.figure)
            if family is None:
                family = families[sample.figure] = sample.figure.family()
            family.add_metric(sample.labels, sample.value)
        yield from families.values()
