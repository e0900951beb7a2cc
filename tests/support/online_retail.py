"""Files in the form of the «Online Retail» data set, and what they come to, counted with nothing of ours."""

from __future__ import annotations

import csv
import gzip
from collections import Counter, defaultdict
from decimal import Decimal
from pathlib import Path

DECEMBER = Path(__file__).parents[3] / "shared" / "data" / "online-retail-2010-12.csv.gz"
"""A month of real orders, beside a developer's checkout; no part of the repository."""

NOT_GOODS = {"POST", "DOT", "M", "D", "S", "B", "C2", "C3", "BANK CHARGES", "AMAZONFEE", "CRUK", "PADS"}


def tally_by_hand(path: Path) -> tuple[dict[str, tuple[int, int, Decimal]], int, int]:
    """Orders, units and revenue by day, rows accepted and rejected, with nothing of ours."""
    packed = path.read_bytes()
    text = (gzip.decompress(packed) if path.suffix == ".gz" else packed).decode()
    first_day: dict[str, str] = {}
    days: dict[str, list[Decimal]] = defaultdict(lambda: [Decimal(), Decimal()])
    orders: Counter[str] = Counter()
    accepted = rejected = 0
    for row in csv.DictReader(text.splitlines()):
        try:
            quantity, price = Decimal(row["Quantity"]), Decimal(row["UnitPrice"])
        except ArithmeticError:
            quantity, price = Decimal(), Decimal()
        goods = row["StockCode"].upper() not in NOT_GOODS and not row["InvoiceNo"].startswith("C")
        if not goods or quantity <= 0 or price <= 0:
            rejected += 1
            continue
        accepted += 1
        if row["InvoiceNo"] not in first_day:
            first_day[row["InvoiceNo"]] = row["InvoiceDate"][:10]
            orders[first_day[row["InvoiceNo"]]] += 1
        day = days[first_day[row["InvoiceNo"]]]
        day[0] += quantity
        day[1] += quantity * price
    return {day: (orders[day], int(u), r) for day, (u, r) in days.items()}, accepted, rejected
