"""What ordering keeps of what it receives from catalog and customers."""

from __future__ import annotations

from contexts.catalog.events import (
    ProductDiscontinued,
    ProductReinstated,
    ProductRenamed,
    ProductRepriced,
)
from contexts.customers.events import AddressChanged, CustomerForgotten, EmailChanged
from contexts.ordering.price_list import KnownCustomer, ListedProduct, know_customer, list_product
from tests.support.examples import ADA, ada_registered, mug_added

MUG = ListedProduct("Mug", 950, "GBP")


def test_an_added_product_is_listed() -> None:
    assert list_product(None, mug_added) == MUG


def test_a_new_name_and_a_new_price_are_listed() -> None:
    assert list_product(MUG, ProductRenamed(sku="MUG", name="Cup")) == ListedProduct("Cup", 950, "GBP")
    assert list_product(MUG, ProductRepriced(sku="MUG", unit_price=1)) == ListedProduct("Mug", 1, "GBP")


def test_a_discontinued_product_stays_listed_as_such_until_it_is_reinstated() -> None:
    discontinued = list_product(MUG, ProductDiscontinued(sku="MUG"))
    assert discontinued == ListedProduct("Mug", 950, "GBP", discontinued=True)
    assert list_product(discontinued, ProductReinstated(sku="MUG")) == MUG


def test_only_the_country_of_a_customer_is_kept() -> None:
    known = know_customer(None, ada_registered)
    assert known == KnownCustomer("GB")
    moved = know_customer(known, AddressChanged(customer_id="ada", country="FR", personal=ADA))
    assert moved == KnownCustomer("FR")
    assert know_customer(moved, EmailChanged(customer_id="ada", personal=ADA)) == KnownCustomer("FR")


def test_a_forgotten_customer_is_known_to_be_forgotten() -> None:
    known = KnownCustomer("GB")
    assert know_customer(known, CustomerForgotten(customer_id="ada")) == KnownCustomer("GB", forgotten=True)
