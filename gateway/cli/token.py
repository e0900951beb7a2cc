"""`orderfold token`: a bearer token of the embedded issuer, and nothing else."""

from __future__ import annotations

from pathlib import Path

from gateway.access import SCOPES
from gateway.cli.failure import CommandFailed
from gateway.cli.surroundings import mint, settings_of
from infra.signing_keys import duration


def token(data: Path | None, scopes: list[str], subject: str, ttl: str) -> str:
    """Mint a token; raises CommandFailed."""
    wanted = [scope for given in scopes for scope in given.split()]
    known = [str(scope) for scope in SCOPES]
    unknown = [scope for scope in wanted if scope not in known]
    if unknown:
        raise CommandFailed(f"{unknown[0]!r} is no scope; there are {', '.join(known)}")
    if not subject.strip() or not subject.isprintable():
        raise CommandFailed("--subject must be a name")
    try:
        lifetime = duration(ttl)
    except ValueError as error:
        raise CommandFailed(f"--ttl: {error}") from None
    return mint(settings_of(data), wanted, subject, lifetime)
