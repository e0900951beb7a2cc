"""The payment methods of the sandbox: tokens that say how the provider shall behave."""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec


class Behaviour(StrEnum):
    """What the provider does when asked to authorise a payment."""

    APPROVE = "approve"
    DECLINE = "decline"
    TIMEOUT = "timeout"
    """Approves, but answers only after a delay, and tells by a webhook too."""
    LATE = "late"
    """Answers at once that it is pending, approves after a delay and tells by a webhook."""
    SLOW = "slow"
    """Takes the request, but books it only after a delay: until then it knows of no payment."""
    EARLY = "early"
    """Approves and sends its webhook at once, but answers only after a delay."""
    NOISY = "noisy"
    """Approves, and sends webhooks twice, out of order, and of types and forms that it alone knows."""
    OTHER_AMOUNT = "otheramount"
    """Approves another amount than was asked for."""
    OTHER_CURRENCY = "othercurrency"
    """Approves the amount in another currency than was asked for."""
    FLAKY = "flaky"
    """Fails twice, then approves."""
    UNKNOWN = "unknown"
    """Declines: it is no token of this provider."""


DELAYS = {Behaviour.TIMEOUT: 8.0, Behaviour.LATE: 2.0, Behaviour.SLOW: 8.0, Behaviour.EARLY: 1.0}
"""Seconds, unless the token says otherwise."""

TOKEN = re.compile(
    r"tok_(approve|decline|timeout|late|slow|early|noisy|otheramount|othercurrency|flaky)(?:_([0-9]{1,7}))?"
)


class SandboxToken(msgspec.Struct, frozen=True):
    """A payment method taken apart; `delay` in seconds."""

    behaviour: Behaviour
    delay: float = 0.0

    @classmethod
    def parse(cls, text: str) -> SandboxToken:
        """`tok_late_500` is pending for 500 milliseconds."""
        found = TOKEN.fullmatch(text)
        if found is None:
            return cls(Behaviour.UNKNOWN)
        behaviour = Behaviour(found[1])
        delay = int(found[2]) / 1000 if found[2] else DELAYS.get(behaviour, 0.0)
        return cls(behaviour, delay)
