"""What can come of an append besides success, and a store that cannot be used."""

from __future__ import annotations

from infra.messages.events import Appended

RESTORE_REMEDY = "stop everything and run `orderfold restore check`"
"""What an operator does about a store that was restored from a backup."""


class Conflict(Exception):
    """An expected version did not hold: the stream stands at `actual`."""

    def __init__(self, stream: str, actual: int) -> None:
        super().__init__(f"{stream} stands at version {actual}")
        self.stream = stream
        self.actual = actual


class CommandRepeated(Exception):
    """The same command was carried out before; `reply` is what was answered then."""

    def __init__(self, command_id: str, reply: bytes) -> None:
        super().__init__(f"command {command_id} was carried out before")
        self.command_id = command_id
        self.reply = reply


class CommandReused(Exception):
    """The command's id belongs to another command that was carried out."""

    def __init__(self, command_id: str) -> None:
        super().__init__(f"the id {command_id} belongs to another command")
        self.command_id = command_id


class StoreUnavailable(Exception):
    """The store cannot be used; one line says why and what to do.

    Raised by an append, it leaves open whether the append was committed: send the command again.
    """


class StoreUnreachable(StoreUnavailable):
    """The store's server cannot be connected to now; it may come (back) by itself."""


class StoreReplaced(StoreUnavailable):
    """Somebody put another store in the place of this one while it was open; nothing more may be written."""

    def __init__(self, what: str) -> None:
        super().__init__(f"{what} while it was in use: {RESTORE_REMEDY}")


class StoreBusy(StoreUnavailable):
    """Too much waits already; nothing of this append was or will be written."""


Outcome = Appended | Exception
"""What one append of a group is answered with; an exception is raised where it was called."""
