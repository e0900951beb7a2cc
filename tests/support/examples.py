"""The person and the product that tests of several contexts tell of."""

from __future__ import annotations

from contexts.catalog.events import ProductAdded
from contexts.customers.events import CustomerRegistered
from contexts.customers.personal_data import Address, PersonalData

BRISTOL = Address(line1="1 Quay", city="Bristol", postcode="BS1 4DJ", country="GB")
ADA = PersonalData(name="Ada Byron", email="ada@example.org", address=BRISTOL)

ada_registered = CustomerRegistered(customer_id="ada", country="GB", personal=ADA)
mug_added = ProductAdded(sku="MUG", name="Mug", unit_price=950, currency="GBP")

ADDRESS = {"line1": "1 Quay", "city": "Bristol", "postcode": "BS1 4DJ", "country": "GB"}
"""The same as a client sends it."""
