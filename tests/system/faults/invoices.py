"""Invoices as shops keep them, made from a seed, and what they come to."""

from __future__ import annotations

import csv
import random
from collections import defaultdict
from pathlib import Path

from gateway.cli.importer.columns import COLUMNS

SKUS = 60
COUNTRIES = ("United Kingdom", "France", "EIRE", "Germany")
Day = tuple[int, int, int]
"""Orders, units and revenue in pence."""


def write_invoices(path: Path, invoices: int, seed: int) -> dict[str, Day]:
    """Write a CSV file of that many sales, with some rows that are none; returns what each day sold."""
    chance = random.Random(seed)
    sold: dict[str, list[int]] = defaultdict(lambda: [0, 0, 0])
    with path.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(COLUMNS)
        for number in range(invoices):
            day = f"2011-03-{1 + number * 28 // invoices:02}"
            customer = chance.choice(["", f"{17000 + chance.randrange(40)}.0"])
            place = (f"{day} 10:{number % 60:02}:00", customer, chance.choice(COUNTRIES))
            sold[day][0] += 1
            for sku in chance.sample(range(SKUS), chance.randint(1, 6)):
                quantity, pence = chance.randint(1, 12), chance.randint(25, 999)
                sold[day][1] += quantity
                sold[day][2] += quantity * pence
                price = f"{pence / 100:.2f}"
                row = (
                    f"9{number:05}",
                    f"{20000 + sku}",
                    f"THING {sku}",
                    quantity,
                    place[0],
                    price,
                    *place[1:],
                )
                writer.writerow(row)
        when = "2011-03-05 09:00:00"
        writer.writerow(("C900001", "20001", "THING 1", -3, when, "1.00", "17001.0", "France"))
        writer.writerow(("999998", "POST", "POSTAGE", 1, when, "18.00", "17001.0", "France"))
        writer.writerow(("999999", "20002", "THING 2", 4, when, "0.00", "", "France"))
    return {day: (orders, units, revenue) for day, (orders, units, revenue) in sold.items()}
