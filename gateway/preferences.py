"""What a request asks for besides its body: after what, how long to wait, and against which version."""

from __future__ import annotations

import re

from gateway.incoming import Incoming
from gateway.known_contexts import CONTEXTS
from gateway.problems import INVALID, Problem
from infra.commands import Token, TokenInvalid

DEFAULT_WAIT = 2
LONGEST_WAIT = 30
MOST_TOKENS = 32
LARGEST_POSITION = 2**63 - 1

WAIT = re.compile(r"\s*wait\s*=\s*\"?([^\";]*)\"?\s*", re.IGNORECASE)
VERSION = re.compile(r'"(\d{1,18})"')
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def tokens_of(incoming: Incoming) -> tuple[Token, ...]:
    """The consistency tokens that came with it; raises a Problem on what is none."""
    if b"consistency-token" not in incoming.headers:
        return ()
    # The header may be repeated; forgetting one would break the promise it asks for.
    text = ",".join(
        value.decode("latin-1") for name, value in incoming.scope["headers"] if name == b"consistency-token"
    )
    parts = [part.strip() for part in text.split(",") if part.strip()]
    if len(parts) > MOST_TOKENS:
        raise unfit_header("Consistency-Token", f"at most {MOST_TOKENS} tokens may be named")
    return tuple(map(token_of, parts))


def token_of(text: str) -> Token:
    try:
        token = Token.parse(text)
    except TokenInvalid as error:
        raise unfit_header("Consistency-Token", str(error)) from error
    if token.context not in CONTEXTS or token.position > LARGEST_POSITION:
        raise unfit_header("Consistency-Token", f"{text!r} is no consistency token of this system")
    return token


def wait_of(incoming: Incoming) -> int | None:
    """The seconds of `Prefer: wait=…`, at most 30; None when it is not said."""
    given = incoming.header(b"prefer")
    if given is None:
        return None
    for preference in re.split("[,;]", given):
        match = WAIT.fullmatch(preference)
        if match:
            if not re.fullmatch("[0-9]{1,9}", match[1]):
                raise unfit_header("Prefer", "wait is a whole number of seconds, such as wait=5")
            return min(int(match[1]), LONGEST_WAIT)
    return None


def expected_version_of(incoming: Incoming) -> int | None:
    """The version of `If-Match: "3"`; None when any will do."""
    given = incoming.header(b"if-match")
    if given is None or given == "*":
        return None
    match = VERSION.fullmatch(given)
    if match is None:
        raise unfit_header("If-Match", 'send the ETag of an earlier answer, such as "3"')
    return int(match[1])


def idempotency_key_of(incoming: Incoming) -> str | None:
    """The idempotency key; None when the client has not sent one."""
    given = incoming.header(b"idempotency-key")
    if given is None:
        return None
    if IDEMPOTENCY_KEY.fullmatch(given) is None:
        raise unfit_header("Idempotency-Key", "it is 1 to 255 printable ASCII characters")
    return given


def unfit_header(name: str, reason: str) -> Problem:
    return Problem(INVALID, f"{name}: {reason}", field=name)
