"""Which web pages may read answers (CORS of the Fetch standard): those of origins an operator has named."""

from __future__ import annotations

from gateway.http.request import RequestContext
from gateway.http.response import Answer, Header

ANY = b"*"
METHODS = b"GET, HEAD, POST"
SENT = (
    b"Authorization, Consistency-Token, Content-Type, Idempotency-Key, If-Match, If-None-Match, Prefer, "
    b"X-Correlation-Id, traceparent"
)
READ = (
    b"Allow, Consistency-Token, ETag, Location, Preference-Applied, RateLimit, RateLimit-Policy, "
    b"Retry-After, WWW-Authenticate, X-Correlation-Id, traceresponse"
)
"""Headers that a page may send, and those of an answer that it may read."""

VARIES: Header = (b"vary", b"Origin")
SECONDS = b"600"
"""For which a browser need not ask again."""


class Cors:
    """Who may read. A page sends its token itself: the browser adds none, and no cookie counts."""

    def __init__(self, origins: str) -> None:
        self._origins = frozenset(origin.strip().encode() for origin in origins.split(",") if origin.strip())

    def headers(self, incoming: RequestContext) -> tuple[Header, ...]:
        """What an answer says about who may read it."""
        if not self._origins:
            return ()
        if not self._allows(incoming):
            return (VARIES,)
        return (
            VARIES,
            (b"access-control-allow-origin", incoming.headers[b"origin"]),
            (b"access-control-expose-headers", READ),
        )

    def preflight(self, incoming: RequestContext) -> Answer | None:
        """What a browser is told that asks before it sends a page's request; None if it is none that may."""
        asks = incoming.method == "OPTIONS" and b"access-control-request-method" in incoming.headers
        if not (asks and self._origins and self._allows(incoming)):
            return None
        return Answer(
            204,
            [
                (b"access-control-allow-methods", METHODS),
                (b"access-control-allow-headers", SENT),
                (b"access-control-max-age", SECONDS),
            ],
        )

    def _allows(self, incoming: RequestContext) -> bool:
        origin = incoming.headers.get(b"origin")
        return origin is not None and (origin in self._origins or ANY in self._origins)
