"""How a replay command ends that cannot do what it was asked to."""

from __future__ import annotations


class ReplayFailed(Exception):
    """The command ends with status 2; the message is the one line its user sees."""
