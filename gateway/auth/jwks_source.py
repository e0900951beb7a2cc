"""Where bearer tokens' public keys are read from: a file, a JWKS address, or what an issuer says."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import SplitResult, urlsplit

import httpx
import msgspec

from infra.settings import SettingsInvalid

FETCH_SECONDS = 5.0
"""For everything that one reading takes."""
MAX_BYTES = 1_000_000
DISCOVERY = "/.well-known/openid-configuration"
UNPROTECTED = "is no https:// address (http:// is for this machine alone)"
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class KeysUnavailable(Exception):
    """The keys could not be read; the message says from where and why."""


class KeySource(Protocol):
    """Gives a JWKS document."""

    @property
    def name(self) -> str:
        """What to call it in logs."""

    async def read(self) -> bytes:
        """The document as it is now; raises KeysUnavailable."""


def key_source(jwks: str, oidc_issuer: str = "") -> KeySource:
    """By the settings of these names; the issuer is asked if `jwks` is empty. Raises SettingsInvalid."""
    if oidc_issuer and not jwks:
        return Discovered(oidc_issuer)
    if not jwks.startswith(("http://", "https://")):
        return File(jwks)
    if not is_protected(urlsplit(jwks)):
        raise SettingsInvalid(f"ORDERFOLD_JWKS: {jwks} {UNPROTECTED}")
    return Fetched(jwks)


class File:
    """A file that somebody else keeps up to date."""

    def __init__(self, path: str) -> None:
        self.name = path or "(neither ORDERFOLD_OIDC_ISSUER nor ORDERFOLD_JWKS is set)"
        self._path = Path(path)

    async def read(self) -> bytes:
        """Its content."""
        try:
            return await asyncio.to_thread(self._path.read_bytes)
        except OSError as error:
            raise KeysUnavailable(f"{self.name}: {error}") from error


class Fetched:
    """A JWKS address."""

    def __init__(self, url: str) -> None:
        self.name = url

    async def read(self) -> bytes:
        """What it answers."""
        async with fetching(self.name) as client:
            return await fetched(client, self.name)


class Discovered:
    """An issuer by OpenID Connect Discovery 1.0: its metadata names its keys.

    They are read again with the keys every time, so that it may move those.
    """

    def __init__(self, issuer: str) -> None:
        """Raises SettingsInvalid for what cannot be trusted to be the issuer."""
        url = urlsplit(issuer)
        if not is_protected(url) or url.query or url.fragment:
            raise SettingsInvalid(f"ORDERFOLD_OIDC_ISSUER: {issuer} {UNPROTECTED}")
        self.name = issuer
        self._local = url.scheme == "http"

    async def read(self) -> bytes:
        """What is at the address that its metadata name."""
        async with fetching(self.name) as client:
            metadata = await fetched(client, self.name.rstrip("/") + DISCOVERY)
            return await fetched(client, self._jwks_uri(metadata))

    def _jwks_uri(self, document: bytes) -> str:
        try:
            metadata = msgspec.json.decode(document, type=dict[str, Any])
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise KeysUnavailable(f"{self.name}{DISCOVERY} is no issuer's metadata: {error}") from error
        if metadata.get("issuer") != self.name:
            raise KeysUnavailable(
                f"{self.name}{DISCOVERY} is another issuer's: {str(metadata.get('issuer'))[:200]!r}"
            )
        found = metadata.get("jwks_uri")
        try:
            usable = isinstance(found, str) and is_protected(urlsplit(found), local=self._local)
        except ValueError:
            usable = False
        if not usable:
            raise KeysUnavailable(f"{self.name}{DISCOVERY} names no https:// address of keys")
        return str(found)


def is_protected(url: SplitResult, *, local: bool = True) -> bool:
    """Whether nobody in between can change what is read there; `local`: this machine alone is, too."""
    if url.scheme == "https":
        return bool(url.hostname)
    return local and url.scheme == "http" and url.hostname in LOOPBACK


@contextlib.asynccontextmanager
async def fetching(name: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client for one reading, within its time; whatever goes wrong is KeysUnavailable."""
    try:
        async with asyncio.timeout(FETCH_SECONDS), httpx.AsyncClient(timeout=FETCH_SECONDS) as client:
            yield client
    except TimeoutError as error:
        raise KeysUnavailable(f"{name}: no answer within {FETCH_SECONDS:g} s") from error
    except (OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        raise KeysUnavailable(f"{name}: {error or type(error).__name__}") from error


async def fetched(client: httpx.AsyncClient, url: str) -> bytes:
    """What is at an address; redirects are not followed."""
    parts: list[bytes] = []
    size = 0
    async with client.stream("GET", url, headers={"Accept": "application/json"}) as answer:
        answer.raise_for_status()
        async for part in answer.aiter_bytes():
            size += len(part)
            if size > MAX_BYTES:
                raise KeysUnavailable(f"{url} is larger than {MAX_BYTES:,} bytes")
            parts.append(part)
    return b"".join(parts)
