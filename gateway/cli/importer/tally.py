"""What was sold on each day: counted from the file's orders, and compared with what the shop says."""

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
    """Sales by day (UTC)."""

    days: dict[date, DaySales] = msgspec.field(default_factory=dict)

    def add(self, day: date, sales: DaySales) -> None:
        """Count sales of a day."""
        self.days[day] = self.days.get(day, DaySales()) + sales

    @property
    def total(self) -> DaySales:
        """All days together."""
        return sum(self.days.values(), DaySales())

    def on(self, days: Iterable[date]) -> Tally:
        """These days alone."""
        return Tally({day: self.days[day] for day in days if day in self.days})

    @classmethod
    def of(cls, days: Mapping[date, DaySales] | Iterable[tuple[date, DaySales]]) -> Self:
        """A tally from days already added up."""
        return cls(dict(days))


class Sales(msgspec.Struct):
    """Sales by day, of all countries and of each."""

    whole: Tally = msgspec.field(default_factory=Tally)
    countries: dict[str, Tally] = msgspec.field(default_factory=dict)

    def add(self, day: date, country: str, sales: DaySales) -> None:
        """Count sales of a day to a country."""
        self.whole.add(day, sales)
        self.countries.setdefault(country, Tally()).add(day, sales)


class Difference(msgspec.Struct, frozen=True):
    """A day on which the two sides do not say the same; `country` if only that country's sales differ."""

    day: date
    ours: DaySales
    theirs: DaySales
    country: str = ""


def differences(ours: Tally, theirs: Tally, country: str = "") -> list[Difference]:
    """The days that differ, in order."""
    return [
        Difference(day, ours.days.get(day, DaySales()), theirs.days.get(day, DaySales()), country)
        for day in sorted(ours.days.keys() | theirs.days.keys())
        if ours.days.get(day, DaySales()) != theirs.days.get(day, DaySales())
    ]


def sales_differences(ours: Sales, theirs: Sales) -> list[Difference]:
    """The days that differ; of the days that agree as a whole, the countries that do not."""
    apart = differences(ours.whole, theirs.whole)
    agreed = ours.whole.days.keys() - {gap.day for gap in apart}
    return apart + [
        gap
        for country in sorted(ours.countries)
        for gap in differences(
            ours.countries[country].on(agreed),
            theirs.countries.get(country, Tally()).on(agreed),
            country,
        )
    ]
