"""What may be asked about customers."""

from __future__ import annotations

from contexts.customers.personal_data import Address, Email
from contexts.messages import Command, CustomerId, Name


class CustomersCommandMessage(Command, tag=lambda name: f"customers.{name}"):
    """A command to customers."""


class RegisterCustomer(CustomersCommandMessage):
    customer_id: CustomerId
    name: Name
    email: Email
    address: Address


class ChangeEmail(CustomersCommandMessage):
    customer_id: CustomerId
    email: Email


class ChangeAddress(CustomersCommandMessage):
    customer_id: CustomerId
    address: Address


class ForgetCustomer(CustomersCommandMessage):
    customer_id: CustomerId


CustomersCommand = RegisterCustomer | ChangeEmail | ChangeAddress | ForgetCustomer
"""Every command of customers."""
