"""What may be asked about customers."""

from __future__ import annotations

from contexts.customers.personal_data import Address, Email
from contexts.messages import Command, CustomerId, Name


class CustomersCommandMessage(Command, tag=lambda name: f"customers.{name}"):
    """A command to customers."""


class RegisterCustomer(CustomersCommandMessage):
    """Register a customer. Refused if the id is registered with other data, or was forgotten."""

    customer_id: CustomerId
    name: Name
    email: Email
    address: Address


class ChangeEmail(CustomersCommandMessage):
    """Change a customer's e-mail address. Refused if the customer was forgotten."""

    customer_id: CustomerId
    email: Email


class ChangeAddress(CustomersCommandMessage):
    """Change a customer's address. Refused if the customer was forgotten.

    Orders count for the country of the address they were placed with.
    """

    customer_id: CustomerId
    address: Address


class ForgetCustomer(CustomersCommandMessage):
    """Erase a customer's personal data for good, by destroying the key they are encrypted with.

    The id and the customer's orders stay. An id that was forgotten cannot be registered again.
    """

    customer_id: CustomerId


CustomersCommand = RegisterCustomer | ChangeEmail | ChangeAddress | ForgetCustomer
"""Every command of customers."""
