"""Decimal prices as whole minor units of a currency, exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

from gateway.http.codes import MINOR_UNITS


def minor_digits(currency: str) -> int:
    """How many digits after the point a currency has."""
    return MINOR_UNITS[currency]


def minor_units(price: Decimal, digits: int) -> tuple[int, bool]:
    """A price in minor units, and whether it had to be rounded (half up) for that."""
    scaled = price.scaleb(digits)
    whole = scaled.to_integral_value(ROUND_HALF_UP)
    return int(whole), whole != scaled


def in_major_units(amount: int, digits: int) -> str:
    """Minor units as people write them: 123456 → `1,234.56`."""
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f}"
