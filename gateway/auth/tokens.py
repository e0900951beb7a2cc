"""Bearer tokens: verified in full once, then remembered until they expire."""

from __future__ import annotations

import hashlib
import re
import time
from collections import OrderedDict
from typing import Any

import jwt
import msgspec

from gateway.auth.jwks import Key, KeySet
from gateway.auth.roles import Role, RoleNames, RolesUnreadable

ALGORITHMS = ("RS256", "ES256")
TYPES = (None, "jwt", "at+jwt", "application/at+jwt")
"""`typ` of tokens that may be bearer tokens: an issuer signs other things with the same key."""
LEEWAY_SECONDS = 30
MAX_LENGTH = 8_192
MAX_SUBJECT = 255
TIMES = ("exp", "nbf", "iat")
LATEST = 253_402_300_799
"""The last second of the year 9999."""
OURS = frozenset({"fulfilment", "payment-provider"})
"""Who acts by themselves: what a history says they did was done by nobody with a token."""
AS_CUSTOMER = "customer:"
NEVER_CUSTOMERS = frozenset({"orders:price"})
"""Scopes that allow more on a route that customers may use; a customer's token never has them, whoever
issued it.
"""
CUSTOMER_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
REMEMBERED = 10_000


class TokenRefused(Exception):
    """A token that proves nothing; the message says why."""


class Caller(msgspec.Struct, frozen=True):
    """Who sent a request (`sub` of its token), what it may do, and the customer it is, if it is one."""

    subject: str
    scopes: frozenset[str]
    customer_id: str | None = None

    @property
    def actor(self) -> str:
        """Who this is in logs and histories: a customer by id, as a subject may be an e-mail address."""
        return self.subject if self.customer_id is None else AS_CUSTOMER + self.customer_id


class Verified(msgspec.Struct, frozen=True):
    """A token that was verified, good until `expires` (leeway included, seconds since 1970)."""

    caller: Caller
    expires: float


class TokenVerifier:
    """Tells whose a bearer token is."""

    def __init__(
        self,
        keys: KeySet,
        issuer: str,
        audience: str,
        roles: RoleNames,
        *,
        remembered: int = REMEMBERED,
    ) -> None:
        self._keys = keys
        self._roles = roles
        self._issuer = issuer
        self._audience = audience
        self._most = remembered
        self._verified: OrderedDict[bytes, Verified] = OrderedDict()
        self._generation = keys.generation

    async def caller(self, token: bytes) -> Caller:
        """Who sent this token; raises TokenRefused, RoleUnknown or KeysUnavailable."""
        self._keys.check()
        self._forget_withdrawn()
        if len(token) > MAX_LENGTH:
            raise TokenRefused(f"the token is longer than {MAX_LENGTH} characters")
        fingerprint = hashlib.blake2b(token, digest_size=32).digest()
        known = self._verified.get(fingerprint)
        if known is not None:
            if known.expires > time.time():
                self._verified.move_to_end(fingerprint)
                return known.caller
            del self._verified[fingerprint]
            raise TokenRefused("the token has expired")
        verified = await self._verify(token)
        # The keys may have been read anew meanwhile; this token was verified with the new ones.
        self._forget_withdrawn()
        self._verified[fingerprint] = verified
        if len(self._verified) > self._most:
            self._verified.popitem(last=False)
        return verified.caller

    def _forget_withdrawn(self) -> None:
        """Forget everything when the keys have changed: what a withdrawn one signed proves nothing."""
        if self._generation != self._keys.generation:
            self._verified.clear()
            self._generation = self._keys.generation

    async def _verify(self, token: bytes) -> Verified:
        key = await self._key(token)
        try:
            claims = jwt.decode(
                token,
                key.public,
                # The key decides the algorithm, never the token: an RSA key must not become an HMAC secret.
                algorithms=[key.algorithm],
                issuer=self._issuer,
                audience=self._audience,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", "sub"]},
            )
        except jwt.PyJWTError as error:
            raise TokenRefused(reason(error)) from error
        subject = claims["sub"]
        if not (0 < len(subject) <= MAX_SUBJECT and subject.isprintable()):
            raise TokenRefused("the token's subject is not 1 to 255 printable characters")
        if subject in OURS or subject.startswith(AS_CUSTOMER):
            raise TokenRefused("the token's subject is a name of the system's own")
        check_times(claims)
        try:
            role = self._roles.role(claims)
        except RolesUnreadable as error:
            raise TokenRefused(str(error)) from error
        granted, customer_id = scopes(claims), customer(claims, role)
        if customer_id is not None:
            granted -= NEVER_CUSTOMERS
        caller = Caller(subject, granted, customer_id)
        return Verified(caller, claims["exp"] + LEEWAY_SECONDS)

    async def _key(self, token: bytes) -> Key:
        try:
            header = jwt.get_unverified_header(token)
        except jwt.PyJWTError as error:
            raise TokenRefused("the token is no JSON Web Token") from error
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ")
        if algorithm not in ALGORITHMS:
            raise TokenRefused("the token is not signed with RS256 or ES256")
        if (kind.lower() if isinstance(kind, str) else kind) not in TYPES:
            raise TokenRefused("the token is not meant as a bearer token")
        if not isinstance(kid, str | None):
            raise TokenRefused("the token's key id is no text")
        key = await self._keys.find(kid, algorithm)
        if key is None:
            raise TokenRefused("the token is signed with a key that is not known here")
        return key


def scopes(claims: dict[str, Any]) -> frozenset[str]:
    """The scopes a token grants: `scope` as text with spaces between, or `scp` as such text or a list."""
    granted = claims.get("scope", claims.get("scp", ""))
    if isinstance(granted, str):
        return frozenset(granted.split())
    if isinstance(granted, list):
        return frozenset(item for item in granted if isinstance(item, str))
    raise TokenRefused("the token's scopes are neither text nor a list")


def check_times(claims: dict[str, Any]) -> None:
    """Raise TokenRefused unless times are numbers: the library takes text for one, too, and any size."""
    for name in TIMES:
        if name in claims:
            value = claims[name]
            if type(value) not in {int, float} or not 0 <= value <= LATEST:
                raise TokenRefused(f"the token's {name} is no time")


def customer(claims: dict[str, Any], role: Role) -> str | None:
    """The customer a customer's token is for: its `customer_id`, else its subject; None for staff."""
    if role is Role.STAFF:
        return None
    customer_id = claims.get("customer_id", claims["sub"])
    if not isinstance(customer_id, str) or CUSTOMER_ID.fullmatch(customer_id) is None:
        raise TokenRefused("the token has the role customer, but names no customer")
    return customer_id


REASONS: dict[type[jwt.PyJWTError], str] = {
    jwt.ExpiredSignatureError: "the token has expired",
    jwt.ImmatureSignatureError: "the token is not valid yet",
    jwt.InvalidIssuerError: "the token is from another issuer",
    jwt.InvalidAudienceError: "the token is for another audience",
    jwt.MissingRequiredClaimError: "the token lacks one of the claims exp, iss, aud, sub",
    jwt.InvalidSignatureError: "the token's signature does not fit",
}


def reason(error: jwt.PyJWTError) -> str:
    """Why the library refused, in our words; its own may quote the token."""
    return REASONS.get(type(error), "the token cannot be used")
