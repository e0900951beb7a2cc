"""Webhooks are signed as Standard Webhooks says, and nothing else is believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from infra.security.webhook_signature import (
    SecretUnusable,
    SignatureInvalid,
    new_secret,
    parse_secret,
    read_secret,
    sign,
    verify,
)

# The reference example of the Standard Webhooks libraries.
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
ID = "msg_p5jXN8AQM9LWM0D4loKWxJek"
TIME = datetime.fromtimestamp(1614265330, UTC)
BODY = b'{"test": 2432232314}'
SIGNATURE = "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

KEY = parse_secret(SECRET)
HEADERS = {"webhook-id": ID, "webhook-timestamp": "1614265330", "webhook-signature": SIGNATURE}


def test_a_signature_is_what_the_standard_says() -> None:
    assert sign(KEY, ID, TIME, BODY) == HEADERS


def test_a_genuine_webhook_is_believed() -> None:
    assert verify(KEY, HEADERS, BODY, now=TIME) == ID


def test_one_of_several_signatures_suffices() -> None:
    """A sender that changes its secret signs with both."""
    several = {**HEADERS, "webhook-signature": f"v1,AAAA v1a,zzzz {SIGNATURE}"}
    assert verify(KEY, several, BODY, now=TIME) == ID


@pytest.mark.parametrize("drift", [timedelta(minutes=5), timedelta(minutes=-5)])
def test_five_minutes_of_drift_are_tolerated(drift: timedelta) -> None:
    assert verify(KEY, HEADERS, BODY, now=TIME + drift) == ID


@pytest.mark.parametrize("drift", [timedelta(minutes=5, seconds=1), timedelta(minutes=-5, seconds=-1)])
def test_an_old_webhook_sent_again_is_not_believed(drift: timedelta) -> None:
    with pytest.raises(SignatureInvalid, match="time"):
        verify(KEY, HEADERS, BODY, now=TIME + drift)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "msg_other"},
        {"webhook-timestamp": "1614265331"},
        {"webhook-signature": ""},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1,not base64!"},
        {"webhook-signature": "v1,\xe9"},
        {"webhook-id": ID + "\xe9"},
        {"webhook-signature": SIGNATURE.replace("v1,", "v2,")},
        {"webhook-signature": "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="},
    ],
)
def test_a_webhook_that_was_tampered_with_is_not_believed(changed: dict[str, str]) -> None:
    with pytest.raises(SignatureInvalid):
        verify(KEY, {**HEADERS, **changed}, BODY, now=TIME)


def test_another_body_or_another_secret_is_not_believed() -> None:
    with pytest.raises(SignatureInvalid):
        verify(KEY, HEADERS, BODY + b" ", now=TIME)
    with pytest.raises(SignatureInvalid):
        verify(parse_secret(new_secret()), HEADERS, BODY, now=TIME)


@pytest.mark.parametrize("missing", HEADERS)
def test_a_webhook_without_its_headers_is_not_believed(missing: str) -> None:
    headers = {name: value for name, value in HEADERS.items() if name != missing}
    with pytest.raises(SignatureInvalid, match="missing"):
        verify(KEY, headers, BODY, now=TIME)


@pytest.mark.parametrize("time", ["", "yesterday", "9" * 30, "-1e9"])
def test_a_time_that_is_none_is_not_believed(time: str) -> None:
    with pytest.raises(SignatureInvalid, match="malformed"):
        verify(KEY, {**HEADERS, "webhook-timestamp": time}, BODY, now=TIME)


def test_a_secret_is_read_from_its_file(tmp_path: Path) -> None:
    file = tmp_path / "secret"
    file.write_text(SECRET + "\n")
    assert read_secret(file) == KEY


@pytest.mark.parametrize("content", [b"", b"whsec_", b"whsec_c2hvcnQ=", b"whsec_not base64", b"\xff\xfe"])
def test_a_secret_file_that_holds_none_is_named(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "secret"
    file.write_bytes(content)
    with pytest.raises(SecretUnusable, match=str(file)):
        read_secret(file)


def test_a_missing_secret_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SecretUnusable, match="absent"):
        read_secret(tmp_path / "absent")
