"""What a request asks for besides its body: after what, how long to wait, and under which key."""

from __future__ import annotations

import re

from contexts import NAMES as CONTEXTS
from gateway.http.request import RequestContext
from gateway.problems import INVALID, Problem
from infra.messages.commands import Token, TokenInvalid

DEFAULT_WAIT = 2
LONGEST_WAIT = 30
MOST_TOKENS = 32
LARGEST_POSITION = 2**63 - 1

NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = r'"(?:[^"\\]|\\.)*"'
SAID = rf"({NAME})(?:[ \t]*=(?:[ \t]*({NAME}|{QUOTED}))?)?"
SAID_WITH_PARAMETERS = rf"{SAID}(?:[ \t]*;(?:[ \t]*{SAID})?)*[ \t]*"
PREFERENCE = re.compile(rf"[ \t]*(?:{SAID_WITH_PARAMETERS})?(?:,|$)")
"""RFC 7240, section 2: a preference and its parameters, up to the next comma. An element may be empty."""

STRING = re.compile(r'"((?:[^"\\]|\\["\\])*)"')
"""A string of structured fields (RFC 9651)."""
IDEMPOTENCY_KEY = re.compile(r"[\x21-\x7e](?:[\x20-\x7e]{0,253}[\x21-\x7e])?")


def tokens_of(incoming: RequestContext) -> tuple[Token, ...]:
    """The consistency tokens that came with it; raises a Problem on what is none."""
    text = incoming.header(b"consistency-token")
    if text is None:
        return ()
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


def wait_of(incoming: RequestContext) -> int | None:
    """The seconds of `Prefer: wait=…`, at most 30; None when it is not said. The answer tells what counts."""
    given = incoming.header(b"prefer")
    if given is None:
        return None
    wanted = preferences(given).get("wait")
    if wanted is None:
        return None
    if not re.fullmatch("[0-9]{1,9}", wanted):
        raise unfit_header("Prefer", "wait is a whole number of seconds, such as wait=5")
    seconds = min(int(wanted), LONGEST_WAIT)
    incoming.applied = ((b"preference-applied", b"wait=%d" % seconds),)
    return seconds


def preferences(text: str) -> dict[str, str]:
    """Each preference by its name in lower case: the first of a name counts. Raises a Problem."""
    found: dict[str, str] = {}
    place = 0
    while place < len(text):
        match = PREFERENCE.match(text, place)
        if match is None:
            raise unfit_header("Prefer", "it is a list of preferences, such as wait=5 (RFC 7240)")
        if match[1]:
            found.setdefault(match[1].lower(), unquoted(match[2] or ""))
        place = match.end()
    return found


def unquoted(word: str) -> str:
    return re.sub(r"\\(.)", r"\1", word[1:-1]) if word.startswith('"') else word


def idempotency_key_of(incoming: RequestContext) -> str | None:
    """The idempotency key; None when the client has not sent one. With or without quotes it is the same."""
    given = incoming.header(b"idempotency-key")
    if given is None:
        return None
    if given.startswith('"'):
        string = STRING.fullmatch(given)
        if string is None:
            raise unfit_header("Idempotency-Key", 'a quote begins one string, such as "basket-7"')
        given = unquoted(given)
    if IDEMPOTENCY_KEY.fullmatch(given) is None:
        raise unfit_header("Idempotency-Key", "it is 1 to 255 printable ASCII characters")
    return given


def unfit_header(name: str, reason: str) -> Problem:
    return Problem(INVALID, f"{name}: {reason}", field=name)
