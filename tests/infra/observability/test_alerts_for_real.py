"""What goes wrong on a real stack comes out of Alertmanager at a real webhook, by the project's own rules."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from infra.embedded.stack import EmbeddedStack
from infra.event_store.store import EventStore
from infra.messages.events import Append, Metadata, NewEvent, StreamAppend
from tests.infra.observability.debian import needs_prometheus
from tests.infra.observability.watch import Watch, watching
from tests.support.shop import Shop, eventually

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, *needs_prometheus]

OF_A_SLOW_MACHINE = ("ProjectionBehind", "RelayStalled", "StoreAppendSlow")
"""Alerts that a machine which is slow enough causes, rightly."""

POISON = b'{"type":"inventory.StockReceived","sku":"POISON","units":10}'
"""An event of a form that no read model takes."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def watch(stack: EmbeddedStack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Watch]:
    """Prometheus and Alertmanager, which have seen every process."""
    folder: Path = tmp_path_factory.mktemp("prometheus")
    async with watching(folder, stack.metrics_urls) as running:
        await eventually(lambda: running.query('up{job="orderfold"} == 1'), lambda up: len(up) == 3, "up")
        yield running


async def told(watch: Watch, name: str, **labels: str) -> dict[str, Any]:
    """The alert, once the webhook has it."""

    async def received() -> list[dict[str, Any]]:
        return watch.webhook.received(name, **labels)

    alerts = await eventually(received, bool, f"{name} {labels}")
    return alerts[0]


async def test_nothing_is_told_while_all_is_well(watch: Watch, shop: Shop) -> None:
    await shop.stock("WELL-MUG", 5)
    await shop.customer("well")
    await shop.order("well-1", "well", {"WELL-MUG": 1})
    await shop.stage_becomes("well-1", "awaiting-dispatch")
    await eventually(lambda: watch.query("sum(orderfold_projected_events_total)"), bool, "projected events")
    told = f'ALERTS{{alertstate="firing",alertname!~"{"|".join(OF_A_SLOW_MACHINE)}"}}'
    assert await watch.query(told) == []
    assert {alert["labels"]["alertname"] for alert in watch.webhook.alerts} <= set(OF_A_SLOW_MACHINE)


async def test_an_event_that_cannot_be_applied(watch: Watch, stack: EmbeddedStack) -> None:
    """Put into the store where its context has left it, and published by the context that comes back."""
    stack.hold("contexts")
    store = await EventStore.open("inventory", stack.settings.store_url("inventory"))
    metadata = Metadata(
        time=datetime.now(UTC), causation_id="poison", correlation_id="poison", actor="tester"
    )
    event = NewEvent("inventory.StockReceived", POISON)
    await store.append(Append(streams=(StreamAppend("stock-POISON", 0, (event,), metadata),)))
    await store.close()
    assert (await told(watch, "ProcessDown", service="contexts"))["annotations"]["runbook"]
    await stack.release("contexts")

    alert = await told(watch, "DeadLetterAppeared", model="stock")
    assert alert["labels"]["severity"] == "critical"
    assert alert["annotations"]["summary"] == "1 events of stock are kept back"


async def test_a_projector_that_is_gone_and_then_what_it_does_not_project(
    watch: Watch, stack: EmbeddedStack, shop: Shop
) -> None:
    """Gateways tell the lag, too: there is nobody else to ask. Meanwhile JetStream is wiped."""
    stack.hold("read-models")
    await shop.do("/v1/products", {"sku": "LATE-MUG", "name": "Mug", "unit_price": 1, "currency": "GBP"})
    await told(watch, "ProcessDown", service="read-models")

    seen = 'orderfold_relay_refills_total{context="inventory"}'
    assert await eventually(lambda: watch.query(seen), bool, "refills so far") == [0.0]
    await stack.wipe("nats")
    alert = await told(watch, "JetStreamRefilled", context="inventory")
    assert alert["annotations"]["summary"] == "JetStream had lost events of inventory"

    alert = await told(watch, "ProjectionBehind", model="products")
    assert alert["labels"]["severity"] == "warning"
    await stack.release("read-models")
    await eventually(
        lambda: watch.query('ALERTS{alertname="ProjectionBehind"}'), lambda found: not found, "caught up"
    )
    await shop.get("/v1/products/LATE-MUG")
