"""A file of sales to a thousand customers, two of whom buy again and again."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path

from gateway.cli.importer.columns import COLUMNS

CUSTOMERS = 1_000
FIRST = 30_000
"""Customers' numbers begin after this one."""
EVERY = 100
"""After so many orders of the others comes one of each regular."""
SKUS = 20
DAY, LATER = "2009-03-02", "2009-03-09"


def write_sales(path: Path, *regulars: str) -> dict[str, list[str]]:
    """Write an order for each of the others, of a line or two; the orders of each regular, in their order."""
    others = CUSTOMERS - len(regulars)
    coming: dict[str, list[str]] = {regular: [] for regular in regulars}
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for number in range(1, others + 1):
            writer.writerows(rows(f"ONCE{number}", number, str(FIRST + number), DAY))
            for regular in regulars if number % EVERY == 0 or number == others else ():
                coming[regular].append(f"{regular}-{number}")
                writer.writerows(rows(coming[regular][-1], number, regular, DAY))
    return coming


def write_later_sales(path: Path, *buyers: str) -> list[str]:
    """Write an order for each, on another day; their ids."""
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for buyer in buyers:
            writer.writerows(rows(f"{buyer}-later", 1, buyer, LATER))
    return [f"{buyer}-later" for buyer in buyers]


def rows(invoice: str, number: int, buyer: str, day: str) -> Iterator[Iterable[object]]:
    """An invoice's rows: what is bought, and at which price, depends on the number alone."""
    for line in range(1 + number % 2):
        sku = f"FORGET-{(number + line) % SKUS}"
        price = f"{1 + number % 7}.{number % 100:02}"
        yield invoice, sku, f"Thing {sku}", 1 + number % 3, f"{day} 10:00", price, buyer, "France"
