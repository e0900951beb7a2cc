"""How a replay command ends that cannot do what it was asked to."""

from __future__ import annotations

STATUSES = (
    "Status: 0 done; 1 differences were found, or something is still kept back; 2 usage, or refused; "
    "130 interrupted."
)
"""What the status of a command that has ended says: the same for all of them."""


class ReplayFailed(Exception):
    """The command ends with status 2; the message is the one line its user sees."""


class ReplayInterrupted(Exception):
    """The command was interrupted and ends with status 130; the message says how it goes on."""
