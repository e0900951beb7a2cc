"""What a benchmark measured: figures, most of them as a ratio to something bare in the same run."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from rich.console import Console
from rich.table import Table


class Row(msgspec.Struct, frozen=True):
    """One measurement; `required` is the least ratio, or None where nothing is promised."""

    name: str
    measured: str
    against: str = ""
    ratio: float | None = None
    required: float | None = None

    @property
    def met(self) -> bool:
        """Whether it is as good as promised."""
        return self.ratio is None or self.required is None or self.ratio >= self.required


def show(rows: Sequence[Row]) -> None:
    """Print the table."""
    table = Table(title="Orderfold, measured in one run on this machine")
    for heading in ("what", "measured", "against", "ratio", "at least"):
        table.add_column(heading, overflow="fold")
    for row in rows:
        table.add_row(
            row.name,
            row.measured,
            row.against,
            "" if row.ratio is None else f"{row.ratio:.2f}",
            "" if row.required is None else f"{row.required:g}" + ("" if row.met else "  MISSED"),
        )
    Console().print(table)
