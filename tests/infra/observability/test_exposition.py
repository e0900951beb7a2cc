"""What real processes expose after one order's life: everything that was agreed, in bounded series."""

from __future__ import annotations

import httpx
import pytest
import pytest_asyncio
from prometheus_client.core import Metric
from prometheus_client.parser import text_string_to_metric_families

from infra.embedded.stack import EmbeddedStack
from tests.infra.observability.debian import needs_prometheus, run
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop, eventually
from tests.system.e2e.conftest import bearer

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow]

CONTEXTS = {
    *("orderfold_commands", "orderfold_command_seconds", "orderfold_append_events"),
    *("orderfold_group_commit_appends", "orderfold_store_commit_seconds", "orderfold_store_read_seconds"),
    *("orderfold_store_head", "orderfold_leading"),
    *("orderfold_relay_position", "orderfold_relay_lag_events", "orderfold_relay_oldest_seconds"),
    *("orderfold_relay_published", "orderfold_relay_refills", "orderfold_relay_conflicts"),
    *("orderfold_relay_holes", "orderfold_timers_set", "orderfold_timers_fired"),
    *("orderfold_provider_requests", "orderfold_provider_request_seconds"),
    *("orderfold_payments_differing", "orderfold_payments_compared_timestamp_seconds"),
    "orderfold_payments_mismatched",
    *("orderfold_nats_connected", "orderfold_nats_reconnects", "orderfold_nats_sync_always"),
    *("orderfold_jetstream_messages", "orderfold_jetstream_bytes", "orderfold_event_loop_seconds"),
    *("process_cpu_seconds", "process_resident_memory_bytes"),
}
READERS = {
    *("orderfold_projector_lag_events", "orderfold_projector_lag_seconds", "orderfold_dead_letters"),
    *("orderfold_fulfilments", "orderfold_fulfilment_oldest_seconds", "orderfold_fulfilments_stuck"),
    *("orderfold_mongo_command_seconds", "orderfold_mongo_failures"),
    *("orderfold_nats_connected", "orderfold_nats_reconnects", "process_cpu_seconds"),
}
READ_MODELS = READERS | {
    *("orderfold_projected_events", "orderfold_projector_commit_seconds"),
    *("orderfold_projection_delay_seconds", "orderfold_event_loop_seconds"),
}
GATEWAY = READERS | {"orderfold_http_requests", "orderfold_http_request_seconds"}
AGREED = {"contexts": CONTEXTS, "read-models": READ_MODELS, "gateway": GATEWAY}

LABELS = {
    *("context", "command", "outcome", "model", "stage", "route", "method", "status", "operation"),
    *(
        "kind",
        "connection",
        "stream",
        "reader",
        "le",
        "implementation",
        "major",
        "minor",
        "patchlevel",
        "version",
    ),
}


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def lived(stack: EmbeddedStack) -> dict[str, str]:
    """What each process exposes after an order was placed, sent and delivered."""
    async with Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("SEEN-MUG", 10)
        await shop.customer("seen-ada")
        await shop.order("seen-1", "seen-ada", {"SEEN-MUG": 3})
        await shop.stage_becomes("seen-1", "awaiting-dispatch")
        await shop.do("/v1/shipments/seen-1/dispatch", {"carrier": "Royal Mail", "tracking": "RM1"})
        await shop.order_becomes("seen-1", "dispatched")
        await shop.do("/v1/shipments/seen-1/deliver")
        await shop.stage_becomes("seen-1", "completed")
    async with httpx.AsyncClient(timeout=HOLDS_SECONDS) as client:
        return {name: (await client.get(f"{url}/metrics")).text for name, url in stack.metrics_urls.items()}


def families(exposed: str) -> list[Metric]:
    return list(text_string_to_metric_families(exposed))


@pytest.mark.parametrize("process", AGREED)
async def test_a_process_exposes_every_metric_that_was_agreed(lived: dict[str, str], process: str) -> None:
    with_samples = {family.name for family in families(lived[process]) if family.samples}
    assert AGREED[process] - with_samples == set()


@pytest.mark.parametrize("process", AGREED)
async def test_no_label_tells_an_order_apart_from_others(lived: dict[str, str], process: str) -> None:
    labels = [
        (name, value)
        for family in families(lived[process])
        for sample in family.samples
        for name, value in sample.labels.items()
    ]
    assert {name for name, _ in labels} <= LABELS
    assert [value for _, value in labels if "seen" in value.lower()] == []


@pytest.mark.parametrize("process", AGREED)
async def test_help_names_the_unit(lived: dict[str, str], process: str) -> None:
    for family in families(lived[process]):
        if family.name.startswith("orderfold_"):
            assert family.documentation
            for unit in ("seconds", "bytes"):
                assert not family.name.endswith(unit) or unit in family.documentation.lower()


async def test_commands_are_counted_by_their_outcome(lived: dict[str, str]) -> None:
    (commands,) = [item for item in families(lived["contexts"]) if item.name == "orderfold_commands"]
    counted = {
        (sample.labels["context"], sample.labels["command"], sample.labels["outcome"])
        for sample in commands.samples
        if sample.value
    }
    assert {
        ("ordering", "PlaceOrder", "accepted"),
        ("inventory", "ReserveStock", "accepted"),
        ("payments", "CapturePayment", "accepted"),
        ("shipping", "DeliverShipment", "accepted"),
    } <= counted


async def test_nothing_is_behind_once_all_is_told(stack: EmbeddedStack, shop: Shop) -> None:
    """Asked until it is so: projectors write a moment after they were told."""

    async def lags() -> list[float]:
        text = (await shop.http.get("/metrics")).text
        return [
            sample.value
            for family in families(text)
            if family.name.startswith("orderfold_projector_lag")
            for sample in family.samples
        ]

    found = await eventually(lags, lambda values: not any(values), "lag")
    assert len(found) == 14


@pytest.mark.parametrize("process", AGREED)
@needs_prometheus[0]
@needs_prometheus[1]
async def test_what_a_process_exposes_follows_prometheus_conventions(
    lived: dict[str, str], process: str
) -> None:
    assert run("promtool", "check", "metrics", given=lived[process].encode()) == ""
