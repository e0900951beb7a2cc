"""What has happened with customers; each event holds what it has of personal data in one value.

That value is encrypted with the customer's own key, and unreadable everywhere once that key is destroyed.
Events of before there were keys hold it open.
"""

from __future__ import annotations

from contexts.customers.personal_data import Encrypted, PersonalData
from contexts.messages import Country, CustomerId, Event


class CustomersEventMessage(Event, tag=lambda name: f"customers.{name}"):
    """An event of customers."""


class CustomerRegistered(CustomersEventMessage):
    """`country` stands beside the personal data: sales are counted by it after the person is forgotten."""

    customer_id: CustomerId
    country: Country
    personal: PersonalData | Encrypted


class EmailChanged(CustomersEventMessage):
    """`personal` is the whole value as it is from now on."""

    customer_id: CustomerId
    personal: PersonalData | Encrypted


class AddressChanged(CustomersEventMessage):
    """`personal` is the whole value as it is from now on."""

    customer_id: CustomerId
    country: Country
    personal: PersonalData | Encrypted


class CustomerForgotten(CustomersEventMessage):
    customer_id: CustomerId


CustomersEvent = CustomerRegistered | EmailChanged | AddressChanged | CustomerForgotten
"""Every event of customers."""
