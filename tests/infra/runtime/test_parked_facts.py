"""Facts a context cannot take: parked with those behind them, told to the context, retried or skipped."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from contexts.catalog.events import ProductRepriced
from infra.event_store.store import CheckpointMoved, EventStore
from infra.runtime.dead_letters.messages import PAGE, SettledAnswer
from tests.conftest import Server
from tests.infra.runtime.price_list import (
    BROKEN,
    PHOTOGRAPHED,
    Catalog,
    Ordering,
    a_catalog,
    at_work,
    eventually,
)


@pytest.fixture
async def catalog(tmp_path: Path) -> AsyncIterator[Catalog]:
    """The catalog with a mug and a cup."""
    async with a_catalog(tmp_path / "catalog.db") as made:
        yield made


@pytest.fixture
async def price_list(store_url: str) -> AsyncIterator[Ordering]:
    """Ordering, once on each database."""
    store = await EventStore.open("ordering", store_url)
    yield Ordering(store)
    await store.close()


async def test_a_fact_that_cannot_be_read_waits_with_those_behind_it_and_others_go_on(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN, ProductRepriced(sku="MUG", unit_price=1_100))
    await catalog.add("CUP", ProductRepriced(sku="CUP", unit_price=700))
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.knows("CUP", 700)
        await price_list.parks("product-MUG@2", "product-MUG@3")
        await catalog.add("MUG", ProductRepriced(sku="MUG", unit_price=1_200))
        await price_list.parks("product-MUG@2", "product-MUG@3", "product-MUG@4")
        assert await price_list.price("MUG") == 900
        first, *behind = price_list.inbox.parked.of("MUG")
        assert "unit_price" in first.error
        assert [letter.error for letter in behind] == ["", ""]
    assert price_list.told == [("product-MUG@2", "parked")]


async def test_what_is_parked_still_is_after_a_restart(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN)
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.parks("product-MUG@2")
    await catalog.add("MUG", ProductRepriced(sku="MUG", unit_price=1_100))
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.parks("product-MUG@2", "product-MUG@3")
    assert await price_list.price("MUG") == 900


async def test_a_retried_fact_is_taken_once_it_can_be_read_and_the_context_is_told(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN, ProductRepriced(sku="MUG", unit_price=1_100))
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:
        await price_list.parks("product-MUG@2", "product-MUG@3")
        (letter, _) = price_list.inbox.parked.of("MUG")
        failed = await letters.retry("ordering", "MUG", "ada")
        assert (failed.applied, failed.parked, failed.event_id) == (0, 2, "product-MUG@2")
        assert "unit_price" in failed.error
        catalog.mend()
        assert await letters.retry("ordering", "MUG", "ada") == SettledAnswer(2, 0)
        assert price_list.parked == []
        (entry,) = await letters.audit("ordering")
        assert (entry.actor, entry.action, entry.event_id) == ("ada", "retry", "product-MUG@2")
    assert await price_list.price("MUG") == 1_100
    assert await price_list.store.notes("dead-letter") == {}
    assert await price_list.store.notes("told") == {letter.note_key: b"retried"}
    assert [fate for _, fate in price_list.told][-1] == "retried"


async def test_an_event_of_a_newer_build_waits_until_this_one_is_upgraded(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", PHOTOGRAPHED, ProductRepriced(sku="MUG", unit_price=1_100))
    await catalog.add("CUP", ProductRepriced(sku="CUP", unit_price=700))
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:
        await price_list.knows("CUP", 700)
        await price_list.parks("product-MUG@2", "product-MUG@3")
        refused = await letters.retry("ordering", "MUG", "ada")
        assert (refused.applied, refused.parked) == (0, 2)
        assert "catalog.ProductPhotographed: this build does not know such an event" in refused.error
        assert "`orderfold replay dead-letters retry ordering`" in refused.error
    price_list.known = {PHOTOGRAPHED.name}
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:
        await price_list.parks("product-MUG@2", "product-MUG@3")
        assert await letters.retry("ordering", "MUG", "ada") == SettledAnswer(2, 0)
    assert await price_list.price("MUG") == 1_100


async def test_a_skipped_fact_is_never_taken_and_the_context_is_told(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN, ProductRepriced(sku="MUG", unit_price=1_100))
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:
        await price_list.parks("product-MUG@2", "product-MUG@3")
        for _ in range(2):
            # Asked again, since an answer may be lost, it does not skip the next one.
            await letters.skip("ordering", "MUG", "product-MUG@2", "ada", "sent twice")
        assert await price_list.price("MUG") == 1_100
        await catalog.add("MUG", ProductRepriced(sku="MUG", unit_price=1_200))
        await price_list.knows("MUG", 1_200)
        (entry,) = await letters.audit("ordering")
        assert (entry.action, entry.reason) == ("skip", "sent twice")
    assert price_list.told == [("product-MUG@2", "parked"), ("product-MUG@2", "skipped")]


async def test_dead_letters_are_told_page_by_page(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    """There may be more of them than one message holds."""
    behind = [ProductRepriced(sku="MUG", unit_price=price) for price in range(1, PAGE + 10)]
    await catalog.add("MUG", BROKEN, *behind)
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:

        async def all_parked() -> bool:
            return len(price_list.parked) == len(behind) + 1

        await eventually(all_parked)
        (parked,) = await letters.keys("ordering")
        assert (parked.key, parked.event_id, parked.waiting) == ("MUG", "product-MUG@2", len(behind))
        facts = await letters.facts("ordering", "MUG")
        assert [fact.event_id for fact in facts] == price_list.parked
        assert facts[0].data == BROKEN.data.decode()


async def test_a_fact_that_its_store_has_no_more_can_only_be_skipped(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    await catalog.add("MUG", BROKEN)
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:
        await price_list.parks("product-MUG@2")
        catalog.lose()
        with pytest.raises(ValueError, match="skip it, or restore that store"):
            await letters.retry("ordering", "MUG", "ada")
        await letters.skip("ordering", "MUG", "product-MUG@2", "ada", "its store lost it")
        assert price_list.parked == []


async def test_of_two_leaders_one_settles_a_fact(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    """One that does not know yet that another leads has another idea of what was done about dead letters."""
    await catalog.add("MUG", BROKEN)
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.parks("product-MUG@2")
        before = price_list.inbox
    async with at_work(nats, catalog.store, price_list.store, price_list) as letters:
        await price_list.parks("product-MUG@2")
        (letter,) = before.parked.of("MUG")
        await letters.skip("ordering", "MUG", "product-MUG@2", "ada", "sent twice")
        with pytest.raises(CheckpointMoved):
            await before.skip(letter, ())


async def test_a_fact_is_parked_even_if_the_context_cannot_be_told(
    nats: Server, catalog: Catalog, price_list: Ordering
) -> None:
    """Otherwise it would hold up all others."""
    price_list.failing = True
    await catalog.add("MUG", BROKEN)
    await catalog.add("CUP", ProductRepriced(sku="CUP", unit_price=700))
    async with at_work(nats, catalog.store, price_list.store, price_list):
        await price_list.knows("CUP", 700)
        await price_list.parks("product-MUG@2")
