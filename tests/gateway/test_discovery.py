"""An issuer's metadata say where its keys are, and are believed only if they are its own."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.auth.jwks import KeySet
from gateway.auth.jwks_source import MAX_BYTES, KeysUnavailable, key_source
from infra.settings import SettingsInvalid, load_settings
from tests.gateway.issuer import Issuer

METADATA = "/.well-known/openid-configuration"
Pages = dict[str, bytes]


@asynccontextmanager
async def provider(pages: Callable[[str], Pages]) -> AsyncIterator[str]:
    """An HTTP server with these pages, made of its own address; yields that."""
    shown: Pages = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        body = shown.get(path, b"")
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s"
            % (b"200 OK" if body else b"404 Not Found", len(body), body)
        )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        shown |= pages(url)
        yield url


def page(content: Any) -> bytes:
    return json.dumps(content).encode()


async def test_the_keys_are_where_the_issuer_says(issuer: Issuer) -> None:
    def pages(url: str) -> Pages:
        return {
            f"/realm{METADATA}": page({"issuer": f"{url}/realm", "jwks_uri": f"{url}/elsewhere"}),
            "/elsewhere": page(issuer.jwks()),
        }

    async with provider(pages) as url:
        keys = KeySet(key_source("", f"{url}/realm"))
        await keys.refresh()
        assert keys.problem is None


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        (lambda url: {"issuer": "https://evil.test", "jwks_uri": f"{url}/jwks"}, "another issuer's"),
        (lambda url: {"issuer": f"{url}/", "jwks_uri": f"{url}/jwks"}, "another issuer's"),
        (lambda url: {"jwks_uri": f"{url}/jwks"}, "another issuer's"),
        (lambda url: {"issuer": url}, "no https"),
        (lambda url: {"issuer": url, "jwks_uri": 7}, "no https"),
        (lambda url: {"issuer": url, "jwks_uri": "file:///etc/passwd"}, "no https"),
        (lambda url: {"issuer": url, "jwks_uri": "http://elsewhere.test/jwks"}, "no https"),
        (lambda url: {"issuer": url, "jwks_uri": "http://["}, "no https"),
        (lambda url: [url], "no issuer's metadata"),
        (lambda url: {"issuer": url, "jwks_uri": f"{url}/nothing"}, "404"),
        (lambda url: {"issuer": url, "jwks_uri": f"{url}/large"}, "larger than"),
    ],
    ids=[
        "somebody else's",
        "with a slash more",
        "nobody's",
        "no keys",
        "a number",
        "a file",
        "unprotected",
        "no address",
        "a list",
        "nothing there",
        "endless",
    ],
)
async def test_metadata_that_cannot_be_trusted_are_refused(
    issuer: Issuer, metadata: Callable[[str], Any], message: str
) -> None:
    def pages(url: str) -> Pages:
        return {
            METADATA: page(metadata(url)),
            "/jwks": page(issuer.jwks()),
            "/large": b" " * (MAX_BYTES + 1),
        }

    async with provider(pages) as url:
        with pytest.raises(KeysUnavailable, match=message):
            await KeySet(key_source("", url)).refresh()


@pytest.mark.parametrize(
    "issuer_url",
    ["http://login.example.org", "login.example.org", "https://", "https://a.test/?x=1", "ftp://127.0.0.1"],
)
def test_an_issuer_that_anybody_could_pretend_to_be_keeps_the_gateway_from_starting(issuer_url: str) -> None:
    with pytest.raises(SettingsInvalid, match="ORDERFOLD_OIDC_ISSUER"):
        key_source("", issuer_url)


@pytest.mark.parametrize("jwks", ["http://login.example.org/jwks.json", "http://", "https://"])
def test_keys_that_anybody_could_exchange_on_their_way_keep_the_gateway_from_starting(jwks: str) -> None:
    with pytest.raises(SettingsInvalid, match="ORDERFOLD_JWKS"):
        key_source(jwks)


async def test_redirects_are_not_followed(issuer: Issuer) -> None:
    """Wherever they lead: the issuer names the address of its keys in its metadata."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
        if path == "/jwks":
            writer.write(b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n")
        else:
            body = page(issuer.jwks())
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        await KeySet(key_source(f"{url}/elsewhere")).refresh()
        with pytest.raises(KeysUnavailable, match="302"):
            await KeySet(key_source(f"{url}/jwks")).refresh()


def test_tokens_must_be_from_the_issuer_unless_said_otherwise() -> None:
    issuer = "https://login.example.org"
    assert load_settings({"ORDERFOLD_OIDC_ISSUER": issuer}).jwt_issuer == issuer
    other = {"ORDERFOLD_OIDC_ISSUER": issuer, "ORDERFOLD_JWT_ISSUER": "https://sts.example.org"}
    assert load_settings(other).jwt_issuer == "https://sts.example.org"
    assert load_settings({}).jwt_issuer == "orderfold-embedded"
