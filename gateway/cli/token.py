"""`orderfold token`: a bearer token of the embedded issuer, and nothing else."""

from __future__ import annotations

from pathlib import Path

from gateway.auth.roles import Role
from gateway.auth.tokens import CUSTOMER_ID
from gateway.cli.connection import mint, settings_of
from gateway.cli.errors import CommandFailed
from gateway.http.guard import CUSTOMERS_SCOPES, SCOPES
from infra.security.development_issuer import duration


def token(data: Path | None, scopes: list[str], subject: str, ttl: str, customer: str | None = None) -> str:
    """Mint a token, of a customer or of staff; raises CommandFailed."""
    if customer is not None and CUSTOMER_ID.fullmatch(customer) is None:
        raise CommandFailed("--customer must be 1 to 64 letters, digits, _ or -")
    wanted = [scope for given in scopes for scope in given.split()]
    known = [str(scope) for scope in SCOPES]
    unknown = [scope for scope in wanted if scope not in known]
    if unknown:
        raise CommandFailed(f"unknown scope {unknown[0]!r}; choose one of {', '.join(known)}")
    allowed = sorted(map(str, CUSTOMERS_SCOPES))
    forbidden = [scope for scope in wanted if scope not in allowed]
    if customer is not None and forbidden:
        raise CommandFailed(
            f"a customer's token cannot have {forbidden[0]!r}; it may have {', '.join(allowed)}"
        )
    if not subject.strip() or not subject.isprintable():
        raise CommandFailed("--subject must be a name")
    try:
        lifetime = duration(ttl)
    except ValueError as error:
        raise CommandFailed(f"--ttl: {error}") from None
    settings = settings_of(data)
    if customer is not None:
        return mint(settings, wanted or allowed, customer, lifetime, role=Role.CUSTOMER)
    return mint(settings, wanted, subject, lifetime)
