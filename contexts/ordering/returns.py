"""What may come back of an order, and what was paid for it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from contexts.messages import Rejected, Sku, Units
from contexts.ordering.order_lines import OrderLine, ReceivedLine


def units(lines: Iterable[OrderLine] | Iterable[Units]) -> Counter[Sku]:
    """How many units of each SKU the lines hold together."""
    total: Counter[Sku] = Counter()
    for line in lines:
        total[line.sku] += line.quantity
    return total


def merged(lines: Iterable[Units]) -> tuple[Units, ...]:
    """The same units, one line for each SKU, sorted."""
    total = units(lines)
    return tuple(Units(sku=sku, quantity=total[sku]) for sku in sorted(total))


def merged_received(lines: Iterable[ReceivedLine]) -> tuple[ReceivedLine, ...]:
    """The same units, one line for each SKU of which any came, sorted."""
    restocked: Counter[Sku] = Counter()
    written_off: Counter[Sku] = Counter()
    for line in lines:
        restocked[line.sku] += line.restocked
        written_off[line.sku] += line.written_off
    return tuple(
        ReceivedLine(sku=sku, restocked=restocked[sku], written_off=written_off[sku])
        for sku in sorted(+(restocked + written_off))
    )


def check_left(sold: Iterable[OrderLine], taken: Mapping[Sku, int], back: Iterable[Units]) -> None:
    """Raise Rejected if there are not so many units that could come back beside those already `taken`."""
    bought = units(sold)
    for line in back:
        left = bought[line.sku] - taken.get(line.sku, 0)
        if line.quantity > left:
            raise Rejected(f"only {left} of {line.sku} can be returned, not {line.quantity}")


def paid(sold: Iterable[OrderLine], back: Mapping[Sku, int]) -> int:
    """What the units that are `back` were sold for, in minor units.

    Where a SKU was sold at several prices, units go back in the order of the order's lines. Whatever comes in
    whichever parts, the whole was sold for the order's total.
    """
    left, total = Counter(back), 0
    for line in sold:
        taken = min(left[line.sku], line.quantity)
        left[line.sku] -= taken
        total += taken * line.unit_price
    return total
