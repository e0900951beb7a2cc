"""The outcome of a check."""

from __future__ import annotations

import msgspec


class Checked(msgspec.Struct, frozen=True):
    """What was looked at and what was seen; with a `fix` it is a finding."""

    what: str
    seen: str
    fix: str = ""

    @property
    def good(self) -> bool:
        """Whether nothing needs to be done."""
        return not self.fix
