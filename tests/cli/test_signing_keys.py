"""The embedded issuer: keys that last, tokens that verify, files nobody else may read."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import jwt
import pytest

from infra.security.development_issuer import (
    SigningKeyMissing,
    SigningKeys,
    duration,
    jwks_file,
    private_file,
)

HOUR = timedelta(hours=1)


def mint(keys: SigningKeys, lifetime: timedelta = HOUR) -> str:
    return keys.mint(
        ["orders:read", "orders:write"], subject="ann", lifetime=lifetime, issuer="us", audience="shop"
    )


def claims(token: str, folder: Path) -> dict[str, object]:
    key = jwt.PyJWKSet.from_dict(json.loads(jwks_file(folder).read_text()))[
        jwt.get_unverified_header(token)["kid"]
    ]
    found: dict[str, object] = jwt.decode(token, key, ["ES256"], issuer="us", audience="shop")
    return found


def test_a_minted_token_verifies_with_the_published_key(tmp_path: Path) -> None:
    token = mint(SigningKeys.ensure(tmp_path))
    found = claims(token, tmp_path)
    assert (found["sub"], found["scope"]) == ("ann", "orders:read orders:write")


def test_a_token_ends_when_its_time_is_over(tmp_path: Path) -> None:
    token = mint(SigningKeys.ensure(tmp_path), timedelta(seconds=-1))
    with pytest.raises(jwt.ExpiredSignatureError):
        claims(token, tmp_path)


def test_the_key_pair_is_made_once(tmp_path: Path) -> None:
    first = SigningKeys.ensure(tmp_path)
    assert SigningKeys.ensure(tmp_path).kid == first.kid
    assert claims(mint(first), tmp_path)


def test_nobody_else_may_read_the_private_key(tmp_path: Path) -> None:
    SigningKeys.ensure(tmp_path)
    assert private_file(tmp_path).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN PRIVATE KEY-----\nnonsense\n"])
def test_a_missing_or_spoilt_key_is_named_with_the_fix(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        private_file(tmp_path).write_bytes(content)
    with pytest.raises(SigningKeyMissing, match=r"signing\.pem"):
        SigningKeys.load(tmp_path)


def test_durations_are_read_with_their_unit() -> None:
    assert [duration(text) for text in ("90s", "15m", "1h", "30d")] == [
        timedelta(seconds=90),
        timedelta(minutes=15),
        timedelta(hours=1),
        timedelta(days=30),
    ]


@pytest.mark.parametrize("text", ["", "1", "h", "-1h", "0s", "1.5h", "9999999d"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration(text)
