"""How a command ends that cannot do what it was asked to."""

from __future__ import annotations


class CommandFailed(Exception):
    """The command ends with status 2; the message is the one line its user sees."""


class Differs(Exception):
    """The command ran to its end and what it compared is not the same: status 1; all has been said."""
