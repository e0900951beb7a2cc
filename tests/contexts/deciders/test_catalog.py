"""What the catalog does, refuses and stays quiet about."""

from __future__ import annotations

import msgspec
import pytest

from contexts.catalog.commands import (
    AddProduct,
    CatalogCommand,
    DiscontinueProduct,
    ReinstateProduct,
    RenameProduct,
    RepriceProduct,
)
from contexts.catalog.decider import decide, evolve
from contexts.catalog.events import (
    ProductDiscontinued,
    ProductReinstated,
    ProductRenamed,
    ProductRepriced,
)
from tests.spec import Spec
from tests.support.examples import mug_added

product = Spec(None, decide, evolve)

add = AddProduct(sku="MUG", name="Mug", unit_price=950, currency="GBP")
rename = RenameProduct(sku="MUG", name="Blue mug")
renamed = ProductRenamed(sku="MUG", name="Blue mug")
reprice = RepriceProduct(sku="MUG", unit_price=1050)
repriced = ProductRepriced(sku="MUG", unit_price=1050)
discontinue = DiscontinueProduct(sku="MUG")
discontinued = ProductDiscontinued(sku="MUG")
reinstate = ReinstateProduct(sku="MUG")
reinstated = ProductReinstated(sku="MUG")


def test_a_product_is_added() -> None:
    product.when(add).then(mug_added)


def test_adding_the_same_product_again_changes_nothing() -> None:
    product.given(mug_added).when(add).then_nothing()


def test_adding_a_repriced_product_as_it_is_now_changes_nothing() -> None:
    product.given(mug_added, repriced).when(msgspec.structs.replace(add, unit_price=1050)).then_nothing()


@pytest.mark.parametrize("other", [{"name": "Cup"}, {"unit_price": 1}, {"currency": "EUR"}])
def test_a_sku_stands_for_one_product(other: dict[str, object]) -> None:
    product.given(mug_added).when(msgspec.structs.replace(add, **other)).then_rejected("MUG")


def test_a_product_is_renamed() -> None:
    product.given(mug_added).when(rename).then(renamed)


def test_renaming_to_the_same_name_changes_nothing() -> None:
    product.given(mug_added, renamed).when(rename).then_nothing()


def test_a_product_is_repriced() -> None:
    product.given(mug_added).when(reprice).then(repriced)


def test_repricing_to_the_same_price_changes_nothing() -> None:
    product.given(mug_added, repriced).when(reprice).then_nothing()


def test_a_product_is_discontinued() -> None:
    product.given(mug_added).when(discontinue).then(discontinued)


def test_discontinuing_twice_changes_nothing() -> None:
    product.given(mug_added, discontinued).when(discontinue).then_nothing()


def test_a_discontinued_product_is_reinstated() -> None:
    product.given(mug_added, discontinued).when(reinstate).then(reinstated)


def test_reinstating_what_is_sold_changes_nothing() -> None:
    product.given(mug_added).when(reinstate).then_nothing()
    product.given(mug_added, discontinued, reinstated).when(reinstate).then_nothing()


def test_a_product_is_still_discontinued_after_other_changes() -> None:
    product.given(mug_added, discontinued, renamed, repriced).when(reinstate).then(reinstated)


@pytest.mark.parametrize(
    "command", [rename, reprice, discontinue, reinstate], ids=lambda it: type(it).__name__
)
def test_a_product_that_was_never_added_is_unknown(command: CatalogCommand) -> None:
    product.when(command).then_unknown("MUG")
