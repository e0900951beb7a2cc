"""What customers may ask for, what they are refused, and what stays quiet."""

from __future__ import annotations

import msgspec
import pytest

from contexts.customers.commands import (
    ChangeAddress,
    ChangeEmail,
    CustomersCommand,
    ForgetCustomer,
    RegisterCustomer,
)
from contexts.customers.decider import decide, evolve
from contexts.customers.events import AddressChanged, CustomerForgotten, EmailChanged
from contexts.customers.personal_data import Address
from tests.spec import Spec
from tests.support.examples import ADA, BRISTOL, ada_registered

customer = Spec(None, decide, evolve)

lyon = Address(line1="2 rue Neuve", city="Lyon", postcode="69001", country="FR")

register = RegisterCustomer(customer_id="ada", name=ADA.name, email=ADA.email, address=BRISTOL)
change_email = ChangeEmail(customer_id="ada", email="countess@example.org")
email_changed = EmailChanged(
    customer_id="ada", personal=msgspec.structs.replace(ADA, email="countess@example.org")
)
move = ChangeAddress(customer_id="ada", address=lyon)
moved = AddressChanged(customer_id="ada", country="FR", personal=msgspec.structs.replace(ADA, address=lyon))
forget = ForgetCustomer(customer_id="ada")
forgotten = CustomerForgotten(customer_id="ada")


def test_a_customer_registers() -> None:
    customer.when(register).then(ada_registered)


def test_registering_again_with_the_same_data_changes_nothing() -> None:
    customer.given(ada_registered).when(register).then_nothing()


def test_an_id_stands_for_one_customer() -> None:
    customer.given(ada_registered).when(msgspec.structs.replace(register, name="Mary")).then_rejected("ada")


def test_an_email_changes_and_the_event_holds_all_that_is_known() -> None:
    customer.given(ada_registered).when(change_email).then(email_changed)


def test_the_same_email_changes_nothing() -> None:
    customer.given(ada_registered, email_changed).when(change_email).then_nothing()


def test_an_address_changes_and_with_it_the_country() -> None:
    customer.given(ada_registered).when(move).then(moved)


def test_the_same_address_changes_nothing() -> None:
    customer.given(ada_registered, moved).when(move).then_nothing()


def test_changes_add_up() -> None:
    both = msgspec.structs.replace(ADA, email="countess@example.org", address=lyon)
    customer.given(ada_registered, email_changed).when(move).then(
        AddressChanged(customer_id="ada", country="FR", personal=both)
    )


def test_a_customer_is_forgotten() -> None:
    customer.given(ada_registered).when(forget).then(forgotten)


def test_forgetting_twice_changes_nothing() -> None:
    customer.given(ada_registered, forgotten).when(forget).then_nothing()


@pytest.mark.parametrize("command", [register, change_email, move], ids=lambda it: type(it).__name__)
def test_nothing_more_is_learnt_about_a_forgotten_customer(command: CustomersCommand) -> None:
    customer.given(ada_registered, forgotten).when(command).then_rejected("ada", "forgotten")


@pytest.mark.parametrize("command", [change_email, move, forget], ids=lambda it: type(it).__name__)
def test_a_customer_who_never_registered_is_unknown(command: CustomersCommand) -> None:
    customer.when(command).then_unknown("ada")
