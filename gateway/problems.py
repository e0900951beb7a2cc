"""What can go wrong with a request, as RFC 9457 problem details: every kind with its stable type."""

from __future__ import annotations

from typing import Any

import msgspec

from infra.messages.commands import RefusalKind, Refused

MEDIA_TYPE = "application/problem+json"
RETRY_SECONDS = 1
"""What `Retry-After` says: what is missing is usually there a moment later."""


class Kind(msgspec.Struct, frozen=True):
    """A kind of problem; its `type` never changes."""

    name: str
    status: int
    title: str

    @property
    def type(self) -> str:
        """The URI clients may compare with."""
        return f"urn:orderfold:problem:{self.name}"


MALFORMED = Kind("malformed", 400, "The request cannot be read")
INVALID = Kind("invalid", 400, "A value does not fit")
UNAUTHENTICATED = Kind("unauthenticated", 401, "A valid bearer token is required")
SIGNATURE_INVALID = Kind("signature-invalid", 401, "The signature does not fit")
MISSING_SCOPE = Kind("missing-scope", 403, "The token does not allow this")
UNKNOWN_ROLE = Kind("unknown-role", 403, "The token has no role that is known here")
NOT_YOURS = Kind("not-yours", 403, "This belongs to somebody else")
NOT_FOUND = Kind("not-found", 404, "There is no such thing")
METHOD_NOT_ALLOWED = Kind("method-not-allowed", 405, "The method is not offered here")
BODY_TOO_SLOW = Kind("body-too-slow", 408, "The body did not arrive in time")
REJECTED = Kind("rejected", 409, "A rule forbids this")
STALE_VERSION = Kind("stale-version", 412, "The thing has changed since")
BODY_TOO_LARGE = Kind("body-too-large", 413, "The body is too large")
UNSUPPORTED_MEDIA_TYPE = Kind("unsupported-media-type", 415, "The body must be JSON")
KEY_REUSED = Kind("idempotency-key-reused", 422, "The idempotency key belongs to another request")
RATE_LIMITED = Kind("rate-limited", 429, "Too many requests")
INTERNAL = Kind("internal", 500, "Something went wrong here")
NOT_IMPLEMENTED = Kind("not-implemented", 501, "The way this is sent is not known here")
BEHIND = Kind("projection-behind", 503, "What was asked for is not yet known here")
BUSY = Kind("busy", 503, "Too much is under way")
EXPIRED = Kind("expired", 503, "There was not enough time")
UNAVAILABLE = Kind("unavailable", 503, "Something this needs does not answer")

KINDS = tuple(kind for kind in list(globals().values()) if isinstance(kind, Kind))
"""Every kind there is."""

OF_REFUSAL = {
    RefusalKind.REJECTED: REJECTED,
    RefusalKind.UNKNOWN: NOT_FOUND,
    RefusalKind.INVALID: INVALID,
    RefusalKind.REUSED: KEY_REUSED,
    RefusalKind.STALE: STALE_VERSION,
    RefusalKind.EXPIRED: EXPIRED,
    RefusalKind.BEHIND: BEHIND,
    RefusalKind.BUSY: BUSY,
    RefusalKind.UNAVAILABLE: UNAVAILABLE,
}


class FieldError(msgspec.Struct, frozen=True):
    """Which field (or header, or query parameter) does not fit, and why."""

    field: str
    message: str


class ProblemDetails(msgspec.Struct, frozen=True, omit_defaults=True):
    """The body of every answer that is an error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    correlation_id: str
    errors: tuple[FieldError, ...] = ()
    version: int | None = None


class Problem(Exception):
    """A request that cannot be served, and why."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        *,
        field: str | None = None,
        version: int | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        """`field` names what does not fit; `version` is where a thing really stands."""
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.errors = () if field is None else (FieldError(field, detail),)
        self.version = version
        self.headers = dict(headers or {})
        if kind.status == 503:
            self.headers.setdefault("Retry-After", str(RETRY_SECONDS))

    def details(self, instance: str, correlation_id: str) -> ProblemDetails:
        """The body that tells the client."""
        return ProblemDetails(
            self.kind.type,
            self.kind.title,
            self.kind.status,
            self.detail,
            instance,
            correlation_id,
            self.errors,
            self.version,
        )


def refusal_problem(refused: Refused) -> Problem:
    """A context's refusal as a problem."""
    kind = OF_REFUSAL[refused.kind]
    stale = refused.kind is RefusalKind.STALE
    return Problem(
        kind, refused.rule, field=refused.field or None, version=refused.version if stale else None
    )


def unfit(error: msgspec.ValidationError) -> Problem:
    """A value that does not fit its type; names the field as `lines[0].quantity`."""
    reason, _, place = str(error).rpartition(" - at `$")
    if not reason:
        return Problem(INVALID, str(error))
    field = place.rstrip("`").lstrip(".")
    return Problem(INVALID, f"{reason} at {field}", field=field)


def encoded(details: ProblemDetails | dict[str, Any]) -> bytes:
    """The body as bytes."""
    return msgspec.json.encode(details)
