"""Times as clients write them: RFC 3339, to the microsecond."""

from __future__ import annotations

import re
from datetime import UTC, datetime

FORM = re.compile(
    r"([0-9]{4}-[0-9]{2}-[0-9]{2})[Tt]([0-9]{2}:[0-9]{2}:[0-9]{2})(?:\.([0-9]{1,30}))?([Zz]|[+-][0-9]{2}:[0-5][0-9])"
)


def instant(text: str) -> datetime:
    """The time; raises ValueError. More than six decimals are cut off: rounded, they lead to another year."""
    found = FORM.fullmatch(text)
    if found is None:
        raise ValueError("it is no time with its offset in RFC 3339, such as 2026-03-01T14:03:00Z")
    day, clock, decimals, offset = found.groups()
    if clock.endswith(":60"):
        raise ValueError("leap seconds are not known here; write the second before")
    zone = "+00:00" if offset in "Zz" else offset
    try:
        time = datetime.fromisoformat(f"{day}T{clock}.{(decimals or '')[:6].ljust(6, '0')}{zone}")
        time.astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError("there is no such time between the years 1 and 9999") from None
    return time
