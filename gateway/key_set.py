"""The public keys bearer tokens are signed with, from a JWKS URL or file, kept fresh."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import httpx
import jwt
import msgspec
import structlog
from cryptography.hazmat.primitives.asymmetric import ec, rsa

REFRESH_SECONDS = 600.0
UNKNOWN_KEY_SECONDS = 10.0
"""A key id nobody has heard of makes the keys be read again, at most this often."""
FETCH_SECONDS = 5.0
MAX_BYTES = 1_000_000
SMALLEST_RSA = 2048
FIRST_PAUSE = 0.5

log = structlog.get_logger(__name__)


class KeysUnavailable(Exception):
    """The keys could not be read; the message says from where and why."""


class Key(msgspec.Struct, frozen=True):
    """A public key and the one algorithm it may be used with."""

    kid: str
    algorithm: str
    public: Any


class KeySet:
    """The keys of one issuer. Keys that were read once stay in use while their source does not answer."""

    def __init__(self, source: str) -> None:
        self._source = source
        self._keys: tuple[Key, ...] = ()
        self._read_at = -UNKNOWN_KEY_SECONDS
        self._reading = asyncio.Lock()
        self.generation = 0
        """Counts the times the keys changed."""

    @property
    def loaded(self) -> bool:
        """Whether there is any key."""
        return bool(self._keys)

    async def run(self) -> None:
        """Read the keys now and every ten minutes, sooner while there are none; never returns."""
        pause = FIRST_PAUSE
        while True:
            try:
                await self.refresh()
            except KeysUnavailable as error:
                log.warning("keys of bearer tokens not read", error=str(error))
            pause = REFRESH_SECONDS if self.loaded else min(pause * 2, UNKNOWN_KEY_SECONDS)
            await asyncio.sleep(pause)

    async def find(self, kid: str | None, algorithm: str) -> Key | None:
        """The key a token names; None if there is none. Raises KeysUnavailable when none is known at all."""
        key = self._known(kid, algorithm)
        if key is None and time.monotonic() - self._read_at >= UNKNOWN_KEY_SECONDS:
            try:
                await self.refresh()
            except KeysUnavailable:
                if not self.loaded:
                    raise
            key = self._known(kid, algorithm)
        if not self.loaded:
            raise KeysUnavailable(
                f"no key could be read from {self._source or '(ORDERFOLD_JWKS is not set)'}"
            )
        return key

    def _known(self, kid: str | None, algorithm: str) -> Key | None:
        fitting = [key for key in self._keys if key.algorithm == algorithm and kid in {None, key.kid}]
        return fitting[0] if len(fitting) == 1 else None

    async def refresh(self) -> None:
        """Read the keys again, once for all who want it now; raises KeysUnavailable."""
        seen = self._read_at
        async with self._reading:
            if self._read_at != seen:
                return
            self._read_at = time.monotonic()
            keys = read_keys(await self._fetch(), self._source)
            if keys != self._keys:
                self._keys = keys
                self.generation += 1
                log.info("keys of bearer tokens read", source=self._source, kids=[key.kid for key in keys])

    async def _fetch(self) -> bytes:
        try:
            if self._source.startswith(("http://", "https://")):
                async with httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
                    answer = await client.get(self._source, headers={"Accept": "application/json"})
                    answer.raise_for_status()
                    return answer.content
            return await asyncio.to_thread(Path(self._source).read_bytes)
        except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
            raise KeysUnavailable(
                f"{self._source or 'ORDERFOLD_JWKS'}: {error or type(error).__name__}"
            ) from error


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
    algorithm = {"RSA": "RS256", "EC": "ES256"}.get(entry.get("kty", ""))
    if algorithm is None or entry.get("alg", algorithm) != algorithm:
        return None
    try:
        public = jwt.PyJWK(entry, algorithm).key
    except jwt.PyJWTError as error:
        log.warning("a key of bearer tokens cannot be used", kid=entry.get("kid"), error=str(error))
        return None
    strong = (isinstance(public, rsa.RSAPublicKey) and public.key_size >= SMALLEST_RSA) or (
        isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)
    )
    return Key(str(entry.get("kid", "")), algorithm, public) if strong else None
