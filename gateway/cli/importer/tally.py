"""What was sold on each day: counted from rows, and compared with what the shop says."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Self

import msgspec


class DaySales(msgspec.Struct, frozen=True):
    """A day's orders, units and revenue (minor units, one currency)."""

    orders: int = 0
    units: int = 0
    revenue: int = 0

    def __add__(self, other: DaySales) -> DaySales:
        return DaySales(self.orders + other.orders, self.units + other.units, self.revenue + other.revenue)


class Tally(msgspec.Struct):
    """Sales by day."""

    days: dict[date, DaySales] = msgspec.field(default_factory=dict)

    def add(self, day: date, sales: DaySales) -> None:
        """Count sales of a day."""
        self.days[day] = self.days.get(day, DaySales()) + sales

    @property
    def total(self) -> DaySales:
        """All days together."""
        return sum(self.days.values(), DaySales())

    @classmethod
    def of(cls, days: Mapping[date, DaySales] | Iterable[tuple[date, DaySales]]) -> Self:
        """A tally from days already added up."""
        return cls(dict(days))


class Difference(msgspec.Struct, frozen=True):
    """A day on which the two sides do not say the same."""

    day: date
    ours: DaySales
    theirs: DaySales


def differences(ours: Tally, theirs: Tally) -> list[Difference]:
    """The days that differ, in order."""
    return [
        Difference(day, ours.days.get(day, DaySales()), theirs.days.get(day, DaySales()))
        for day in sorted(ours.days.keys() | theirs.days.keys())
        if ours.days.get(day, DaySales()) != theirs.days.get(day, DaySales())
    ]
