"""The public keys bearer tokens are signed with, kept fresh."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.auth.jwks_source import MAX_BYTES, KeySource, KeysUnavailable
from infra.retry import retry

REFRESH_SECONDS = 600.0
UNKNOWN_KEY_SECONDS = 10.0
"""A key id nobody has heard of makes the keys be read again, at most this often ..."""
UNKNOWN_KEY_LOOKS = 3
"""... but so many times in a row: the issuer may begin with a new key just after somebody made one up."""
MOST_WAITING = 256
"""Tokens that wait for keys being read: whoever makes key ids up must not fill the gateway with them."""
OLDEST_SECONDS = 86_400.0
SMALLEST_RSA = 2048
FIRST_PAUSE = 0.5
LONGEST_PAUSE = 10.0

log = structlog.get_logger(__name__)


class KeysTooOld(KeysUnavailable):
    """The keys were read so long ago that they may have been withdrawn since."""


class Key(msgspec.Struct, frozen=True):
    """A public key and the one algorithm it may be used with."""

    kid: str
    algorithm: str
    public: Any


class KeySet:
    """The keys of one issuer. While their source does not answer, those read last stay in use, for a time."""

    def __init__(self, source: KeySource, oldest: float = OLDEST_SECONDS) -> None:
        """`oldest` is how many seconds keys are believed after they were read."""
        self._source = source
        self._oldest = oldest
        self._keys: tuple[Key, ...] = ()
        self._believed_until = 0.0
        self._looks = float(UNKNOWN_KEY_LOOKS)
        self._looked_at = time.monotonic()
        self._reading: asyncio.Task[None] | None = None
        self._waiting = 0
        self.generation = 0
        """Counts the times the keys changed."""

    @property
    def problem(self) -> str | None:
        """Why no token can be verified; None if some can."""
        if not self._keys:
            return "no key of bearer tokens is known"
        return None if self._are_believed() else "the keys of bearer tokens were read too long ago"

    def check(self) -> None:
        """Raise KeysTooOld if what was verified with the keys proves nothing any more."""
        if self._keys and not self._are_believed():
            raise KeysTooOld(f"{self._source.name}: no key was read within {self._oldest:g} s")

    def _are_believed(self) -> bool:
        return time.monotonic() < self._believed_until

    async def run(self) -> None:
        """Read the keys now and every ten minutes, sooner after a failure; never returns."""
        while True:
            await retry(
                self.refresh,
                KeysUnavailable,
                first=FIRST_PAUSE,
                longest=LONGEST_PAUSE,
                report=lambda error: log.warning("token keys not loaded", error=str(error)),
            )
            await asyncio.sleep(min(REFRESH_SECONDS, self._oldest / 2))

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key a token names; None if there is none.

        Raises KeysUnavailable when none is known at all, or too many wait to know.
        """
        key = self._known(kid, algorithm)
        if key is None and (self._reading is not None or self._may_look()):
            await self._look()
            key = self._known(kid, algorithm)
        if not self._keys:
            raise KeysUnavailable(f"no key could be read from {self._source.name}")
        return key

    async def _look(self) -> None:
        if self._waiting >= MOST_WAITING:
            raise KeysUnavailable(f"too many wait for the keys of {self._source.name}")
        self._waiting += 1
        try:
            await self.refresh()
        except KeysUnavailable:
            if not self._keys:
                raise
        finally:
            self._waiting -= 1

    def _known(self, kid: str | None, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if key.algorithm == algorithm and kid in {None, key.kid}]
        return fitting[0] if len(fitting) == 1 else None

    def _may_look(self) -> bool:
        """Whether the keys may be read out of turn, which is then counted."""
        now = time.monotonic()
        self._looks = min(UNKNOWN_KEY_LOOKS, self._looks + (now - self._looked_at) / UNKNOWN_KEY_SECONDS)
        self._looked_at = now
        if self._looks < 1:
            return False
        self._looks -= 1
        return True

    async def refresh(self) -> None:
        """Read the keys again, once for all who want it now; raises KeysUnavailable."""
        if self._reading is None:
            self._reading = asyncio.create_task(self._read())
            self._reading.add_done_callback(self._read_once)
        # Whoever began it may leave while others still wait.
        await asyncio.shield(self._reading)

    def _read_once(self, done: asyncio.Task[None]) -> None:
        self._reading = None
        if not done.cancelled():
            done.exception()

    async def _read(self) -> None:
        keys = read_keys(await self._source.read(), self._source.name)
        self._believed_until = time.monotonic() + self._oldest
        if keys != self._keys:
            self._keys = keys
            self.generation += 1
            kids = [key.kid for key in keys]
            log.info("token keys loaded", source=self._source.name, kids=kids)


def read_keys(document: bytes, source: str) -> tuple[Key, ...]:
    """The keys of a JWKS document that may be used: RSA from 2048 bits, P-256. Raises KeysUnavailable."""
    if len(document) > MAX_BYTES:
        raise KeysUnavailable(f"{source} is larger than {MAX_BYTES:,} bytes")
    try:
        entries = msgspec.json.decode(document, type=dict[str, Any])["keys"]
        keys = [key for entry in entries if entry.get("use", "sig") == "sig" if (key := read_key(entry))]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise KeysUnavailable(f"{source} is no JSON Web Key Set: {error!r}") from error
    if not keys:
        raise KeysUnavailable(f"{source} has no RS256 or ES256 key")
    return tuple(keys)


def read_key(entry: dict[str, Any]) -> Key | None:
    """One key; None if it is of a kind that is not used here."""
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(str(entry.get("kty")))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        public = jwt.PyJWK(entry, algorithm).key
    except jwt.PyJWTError as error:
        log.warning("token key unusable", kid=entry.get("kid"), error=str(error))
        return None
    strong = (isinstance(public, rsa.RSAPublicKey) and public.key_size >= SMALLEST_RSA) or (
        isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)
    )
    return Key(str(entry.get("kid") or ""), algorithm, public) if strong else None
