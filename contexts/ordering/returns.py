"""What may come back of an order, and what was paid for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from contexts.messages import Rejected, Sku
from contexts.ordering.order_lines import OrderLine, ReturnLine


def units(lines: Iterable[OrderLine] | Iterable[ReturnLine]) -> Counter[Sku]:
    """How many units of each SKU the lines hold together."""
    total: Counter[Sku] = Counter()
    for line in lines:
        total[line.sku] += line.quantity
    return total


def merged(lines: Iterable[ReturnLine]) -> tuple[ReturnLine, ...]:
    """The same units, one line for each SKU, sorted."""
    total = units(lines)
    return tuple(ReturnLine(sku=sku, quantity=total[sku]) for sku in sorted(total))


def refund(sold: tuple[OrderLine, ...], before: Mapping[Sku, int], back: tuple[ReturnLine, ...]) -> int:
    """What the returning units were sold for, in minor units; raises Rejected if there are not so many.

    Where a SKU was sold at several prices, units go back in the order of the order's lines, after those that
    went back `before`.
    """
    bought = units(sold)
    for line in back:
        left = bought[line.sku] - before.get(line.sku, 0)
        if line.quantity > left:
            raise Rejected(f"only {left} of {line.sku} can be returned, not {line.quantity}")
    return sum(_paid(sold, line, before.get(line.sku, 0)) for line in back)


def _paid(sold: tuple[OrderLine, ...], back: ReturnLine, skip: int) -> int:
    wanted, paid = back.quantity, 0
    for line in sold:
        if line.sku != back.sku:
            continue
        skipped = min(skip, line.quantity)
        taken = min(wanted, line.quantity - skipped)
        skip -= skipped
        wanted -= taken
        paid += taken * line.unit_price
    return paid
