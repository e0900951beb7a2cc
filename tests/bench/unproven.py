"""`python -m tests.bench.unproven`: the gateway believing everybody, to compare validating tokens with."""

from __future__ import annotations

import sys

from gateway.__main__ import main
from gateway.auth.tokens import Caller, TokenVerifier
from gateway.http.guard import SCOPES

ANYBODY = Caller("bench", frozenset(SCOPES))


async def anybody(_: TokenVerifier, __: bytes) -> Caller:
    """Whatever the token is."""
    return ANYBODY


if __name__ == "__main__":
    TokenVerifier.caller = anybody  # type: ignore[assignment, method-assign]
    sys.exit(main())
