"""Decimal prices as whole minor units of a currency, exactly."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

MINOR_DIGITS = {
    **dict.fromkeys(
        (
            *("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW"),
            *("PYG", "RWF", "UGX", "VND", "VUV", "XAF", "XOF", "XPF"),
        ),
        0,
    ),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}
"""Digits after the decimal point in ISO 4217, where they are not two."""


MOST_DIGITS = 15


def minor_digits(currency: str) -> int:
    """How many digits after the point a currency has."""
    return MINOR_DIGITS.get(currency, 2)


def finite(text: str) -> Decimal | None:
    """The number a text says; None if it says none, or one nobody can mean."""
    try:
        number = Decimal(text.strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and number.adjusted() < MOST_DIGITS else None


def minor_units(price: Decimal, digits: int) -> tuple[int, bool]:
    """A price in minor units, and whether it had to be rounded (half up) for that."""
    scaled = price.scaleb(digits)
    whole = scaled.to_integral_value(ROUND_HALF_UP)
    return int(whole), whole != scaled


def in_major_units(amount: int, digits: int) -> str:
    """Minor units as people write them: 123456 → `1,234.56`."""
    return f"{Decimal(amount).scaleb(-digits):,.{digits}f}"
