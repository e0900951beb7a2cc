"""Tokens are verified once and remembered, but never longer than they are good."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from gateway.auth import jwks, tokens
from gateway.auth.jwks import OLDEST_SECONDS, KeySet, KeysTooOld, read_keys
from gateway.auth.jwks_source import KeysUnavailable, key_source
from gateway.auth.roles import role_names
from gateway.auth.tokens import REMEMBERED, TokenRefused, TokenVerifier
from infra.settings import Settings
from tests.gateway.issuer import Issuer
from tests.support.deadlines import HOLDS_SECONDS


@pytest.fixture
def source(tmp_path: Path, issuer: Issuer) -> Path:
    """A JWKS file of this test's own."""
    file = tmp_path / "jwks.json"
    file.write_text(json.dumps(issuer.jwks()))
    return file


def verifier(
    source: Path | str, issuer: Issuer, remembered: int = REMEMBERED, oldest: float = OLDEST_SECONDS
) -> TokenVerifier:
    keys = KeySet(key_source(str(source)), oldest)
    return TokenVerifier(keys, issuer.name, issuer.audience, role_names(Settings()), remembered=remembered)


def publish(source: Path, keys: list[dict[str, Any]]) -> None:
    """Have the issuer's file hold other keys."""
    source.write_text(json.dumps({"keys": keys}))


@asynccontextmanager
async def serving(answers: list[bytes]) -> AsyncIterator[str]:
    """An HTTP server that gives these answers one after the other, the last one for ever."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = answers.pop(0) if len(answers) > 1 else answers[0]
        status = b"200 OK" if body else b"503 Service Unavailable"
        writer.write(
            b"HTTP/1.1 %s\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (status, len(body), body)
        )
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/jwks.json"


async def test_a_token_is_verified_only_the_first_time(source: Path, issuer: Issuer) -> None:
    """Found out by taking the keys away without telling: what is remembered needs none."""
    known = verifier(source, issuer)
    token = issuer.token(scope="orders:read").encode()
    first = await known.caller(token)
    known._keys._keys = ()
    assert await known.caller(token) is first
    assert first.subject == "shop-1"
    assert first.scopes == {"orders:read"}


async def test_a_remembered_token_expires_all_the_same(source: Path, issuer: Issuer) -> None:
    known = verifier(source, issuer)
    # It has expired already, and is good for a second more by the leeway, or for longer on a slow machine.
    for more in (2, 10, 30):
        token = issuer.token(exp=int(time.time()) - tokens.LEEWAY_SECONDS + more).encode()
        with contextlib.suppress(TokenRefused):
            assert await known.caller(token)
            break
    expires = next(iter(known._verified.values())).expires
    async with asyncio.timeout(HOLDS_SECONDS):
        while time.time() <= expires:
            await asyncio.sleep(0.05)
    with pytest.raises(TokenRefused, match="expired"):
        await known.caller(token)


async def test_a_refused_token_is_not_remembered(source: Path, issuer: Issuer) -> None:
    known = verifier(source, issuer)
    for _ in range(3):
        with pytest.raises(TokenRefused):
            await known.caller(issuer.token(aud="another").encode())
    assert len(known._verified) == 0


async def test_only_so_many_tokens_are_remembered(source: Path, issuer: Issuer) -> None:
    known = verifier(source, issuer, remembered=3)
    for number in range(5):
        await known.caller(issuer.token(sub=f"shop-{number}").encode())
    assert len(known._verified) == 3


async def test_what_a_withdrawn_key_signed_proves_nothing_any_more(source: Path, issuer: Issuer) -> None:
    known = verifier(source, issuer)
    token = issuer.token().encode()
    await known.caller(token)
    left = [key for key in issuer.jwks()["keys"] if key["kid"] != "rsa-1"]
    publish(source, left)
    await known._keys.refresh()
    with pytest.raises(TokenRefused, match="not known"):
        await known.caller(token)


async def test_an_unknown_key_makes_the_keys_be_read_again(source: Path, issuer: Issuer) -> None:
    known = verifier(source, issuer)
    await known.caller(issuer.token().encode())
    other = Issuer(rsa=rsa.generate_private_key(65537, 2048), ec=ec.generate_private_key(ec.SECP256R1()))
    keys = other.jwks()["keys"]
    publish(source, [{**key, "kid": f"new-{key['kid']}"} for key in keys])
    assert await known.caller(other.token(headers={"kid": "new-rsa-1"}).encode())


async def test_unknown_keys_do_not_make_the_keys_be_read_all_the_time(issuer: Issuer) -> None:
    answers = [json.dumps(issuer.jwks()).encode()] * 10
    async with serving(answers) as url:
        known = verifier(url, issuer)
        for number in range(20):
            with pytest.raises(TokenRefused):
                await known.caller(issuer.token(headers={"kid": f"{number}"}).encode())
    assert len(answers) == 10 - jwks.UNKNOWN_KEY_LOOKS


async def test_those_who_bring_an_unknown_key_together_are_told_by_one_look(issuer: Issuer) -> None:
    answers = [json.dumps(issuer.jwks()).encode()] * 10
    async with serving(answers) as url:
        known = verifier(url, issuer)
        tokens = [issuer.token(sub=f"shop-{number}").encode() for number in range(20)]
        assert len({caller.subject for caller in await asyncio.gather(*map(known.caller, tokens))}) == 20
    assert len(answers) == 9


async def test_so_many_wait_for_keys_that_do_not_come_and_no_more(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "MOST_WAITING", 5)
    silent = await asyncio.start_server(lambda _reader, _writer: asyncio.sleep(0), "127.0.0.1", 0)
    async with silent:
        known = verifier(f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}/jwks.json", issuer)
        tokens = [issuer.token(sub=f"shop-{number}").encode() for number in range(5)]
        waiting = [asyncio.create_task(known.caller(token)) for token in tokens]
        while known._keys._waiting < 5:
            await asyncio.sleep(0)
        with pytest.raises(KeysUnavailable, match="too many wait"):
            await known.caller(issuer.token().encode())
        for task in waiting:
            task.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        assert known._keys._waiting == 0


async def test_keys_that_were_read_too_long_ago_are_not_believed(source: Path, issuer: Issuer) -> None:
    """Also not for a token that is remembered: nobody knows whether its key was withdrawn."""
    known = verifier(source, issuer, oldest=0.5)
    token = issuer.token().encode()
    assert await known.caller(token)
    source.unlink()  # noqa: ASYNC240 - nobody else is waiting
    async with asyncio.timeout(HOLDS_SECONDS):
        while known._keys.problem is None:
            await asyncio.sleep(0.01)
    with pytest.raises(KeysTooOld):
        await known.caller(token)
    publish(source, issuer.jwks()["keys"])
    await known._keys.refresh()
    assert await known.caller(token)


async def test_keys_stay_in_use_while_their_source_does_not_answer(
    issuer: Issuer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(jwks, "UNKNOWN_KEY_LOOKS", 10)
    async with serving([json.dumps(issuer.jwks()).encode(), b"", b"no json", b'{"keys": 7}']) as url:
        known = verifier(url, issuer)
        await known.caller(issuer.token().encode())
        for number in range(3):
            with pytest.raises(TokenRefused, match="not known"):
                await known.caller(issuer.token(headers={"kid": f"{number}"}).encode())
        assert await known.caller(issuer.token(sub="shop-9").encode())


@pytest.mark.parametrize("source", ["", "/nowhere/jwks.json", "http://127.0.0.1:1/jwks.json"])
async def test_without_any_key_nobody_can_be_told_from_anybody(source: Path, issuer: Issuer) -> None:
    with pytest.raises(KeysUnavailable):
        await verifier(source, issuer).caller(issuer.token().encode())


@pytest.mark.parametrize(
    "key",
    [
        {"kty": "oct", "k": "c2VjcmV0", "kid": "a"},
        {"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"},
        {"kty": "RSA", "n": "AQAB", "e": "AQAB", "kid": "short"},
        {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"},
        {"kty": "EC", "crv": "P-256", "x": "?", "y": 7, "kid": ["a"]},
        {"kty": "RSA", "n": None, "e": "A", "kid": "odd"},
        {"kty": ["RSA"]},
        {"kty": "RSA", "n": "A", "e": "AQAB"},
    ],
    ids=[
        "a shared secret",
        "another kind",
        "a short one",
        "no point on the curve",
        "no coordinates",
        "no numbers",
        "no kind",
        "no base64",
    ],
)
def test_keys_that_may_not_be_used_are_left_out(issuer: Issuer, key: Any) -> None:
    found = read_keys(json.dumps({"keys": [key, *issuer.jwks()["keys"]]}).encode(), "test")
    assert [one.kid for one in found] == ["rsa-1", "ec-1"]


def test_keys_for_encryption_are_left_out(issuer: Issuer) -> None:
    rsa_key, ec_key = issuer.jwks()["keys"]
    found = read_keys(json.dumps({"keys": [{**rsa_key, "use": "enc"}, ec_key]}).encode(), "test")
    assert [one.kid for one in found] == ["ec-1"]
