"""The NATS user that a process is: the seed it connects with, and what the server does not let it do."""

from __future__ import annotations

import re
import time

from infra.settings import Settings, SettingsInvalid

FORBIDDEN_SECONDS = 5.0
"""How long nothing more is asked for where the server took nothing from this user."""

MOST_FORBIDDEN = 100

_SEED = re.compile(rb"SU[A-Z2-7]{56}")
_VIOLATION = re.compile(r'permissions violation for (?:publish to "(?P<subject>[^"]*)")?')
_STRANGER = ("authorization violation", "authentication revoked", "authentication expired")


def check_credentials(settings: Settings) -> str | None:
    """The file of the user's seed, None if there is no user; raises SettingsInvalid if it cannot be used."""
    path = settings.nats_credentials
    if path is None:
        return None
    fix = "`python -m infra.deploy.nats_keys` makes seeds"
    try:
        seed = path.read_bytes().strip()
    except OSError as error:
        msg = f"ORDERFOLD_NATS_CREDENTIALS: {path} cannot be read ({error.strerror}); {fix}"
        raise SettingsInvalid(msg) from None
    if _SEED.fullmatch(seed) is None:
        raise SettingsInvalid(f"ORDERFOLD_NATS_CREDENTIALS: {path} holds no seed of a user; {fix}")
    return str(path)


def is_strangers(error: str) -> bool:
    """Whether the server's error says that it does not know this user."""
    return any(words in error.lower() for words in _STRANGER)


def refusal(settings: Settings) -> str:
    """What to tell whoever has to make this user known."""
    if settings.nats_credentials is None:
        return f"NATS at {settings.nats_url} wants a user: set ORDERFOLD_NATS_CREDENTIALS to its seed's file"
    return (
        f"NATS at {settings.nats_url} does not know the user of {settings.nats_credentials}: "
        "is its public key in the server's users.conf?"
    )


class Forbidden:
    """Where the server has lately not let this user publish; without it that looks like nobody answering."""

    def __init__(self) -> None:
        self._refused: dict[str, float] = {}

    def note(self, error: str) -> bool:
        """Whether the server's error says that this user may not do something; if publish, where is noted."""
        violation = _VIOLATION.search(error)
        if violation is not None and violation["subject"] and len(self._refused) < MOST_FORBIDDEN:
            self._refused[violation["subject"]] = time.monotonic()
        return violation is not None

    def __contains__(self, subject: str) -> bool:
        if not self._refused:
            return False
        # The library reports the server's errors in lower case.
        refused = self._refused.get(subject.lower())
        if refused is not None and time.monotonic() - refused > FORBIDDEN_SECONDS:
            # By now the server may have other permissions.
            del self._refused[subject.lower()]
            return False
        return refused is not None
