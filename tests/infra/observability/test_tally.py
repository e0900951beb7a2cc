"""The hot path's histogram exposes, byte for byte, what the library's own does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from infra.observability.metrics.histogram import TallyHistogram

BUCKETS = (0.0005, 0.25, 1.0, 30.0)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["ordering", "catalog"]),
            st.one_of(st.sampled_from(BUCKETS), st.floats(min_value=0, max_value=100)),
        )
    )
)
def test_it_exposes_what_the_librarys_histogram_does(observed: list[tuple[str, float]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    tallies = TallyHistogram("took_seconds", "In seconds", ("context",), buckets=BUCKETS, registry=ours)
    histogram = Histogram("took_seconds", "In seconds", ("context",), buckets=BUCKETS, registry=theirs)
    for context, seconds in observed:
        tallies.labels(context).observe(seconds)
        histogram.labels(context).observe(seconds)
    assert generate_latest(ours) == generate_latest(theirs)
