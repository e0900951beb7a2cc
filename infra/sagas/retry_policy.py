"""How long a process manager keeps trying before its instance needs a person."""

from __future__ import annotations

import msgspec

from infra.retry import pause_after


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """Limits of sending commands; all times in seconds.

    `tries` of a command that may yet be carried out: about seven minutes with these pauses, time enough to
    restart a context. `doubts` are the tries of a command that was refused: what explains the refusal may be
    on its way to the process manager.
    """

    tries: int = 20
    doubts: int = 6
    first_pause: float = 0.1
    longest_pause: float = 30.0
    answer_within: float = 10.0
    under_way: int = 64
    waiting: int = 10_000

    def pause(self, tries: int) -> float:
        """How long to wait after so many tries: doubling, with jitter, so that not all try at once."""
        return pause_after(tries, self.first_pause, self.longest_pause)
