"""The header lines of a request: lists are combined, and what may be said once is refused when said twice."""

from __future__ import annotations

import re
from collections.abc import Iterable

from gateway.problems import MALFORMED, NOT_IMPLEMENTED, Problem

Lines = Iterable[tuple[bytes, bytes]]

SINGLE = {
    name.lower().encode(): name
    for name in (
        "Authorization",
        "Content-Length",
        "Content-Type",
        "Host",
        "Idempotency-Key",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    )
}
"""Headers that are no lists. All others are combined in one line (RFC 9110, section 5.3)."""

HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+,;=-]|%[0-9A-Fa-f]{2})+)(?::[0-9]*)?")


def combined(lines: list[tuple[bytes, bytes]]) -> dict[bytes, bytes]:
    """The headers by name; of what may be said once, the first line."""
    found = dict(lines)
    if len(found) == len(lines):
        return found
    found = {}
    for name, value in lines:
        if name not in found:
            found[name] = value
        elif name not in SINGLE:
            found[name] += b", " + value
    return found


def refuse_ambiguous(lines: list[tuple[bytes, bytes]], headers: dict[bytes, bytes], version: str) -> None:
    """Raise a Problem if the headers do not say what is asked of whom, and how long the body is."""
    if len(headers) != len(lines):
        seen = set()
        for name, _ in lines:
            if name in SINGLE and name in seen:
                raise Problem(MALFORMED, f"{SINGLE[name]} is sent twice", field=SINGLE[name])
            seen.add(name)
    # The server gives a request without Host an empty one. HTTP/1.0 does not know it.
    host = headers.get(b"host", b"")
    if HOST.fullmatch(host) is None and (host or version.startswith("1.1")):
        raise Problem(MALFORMED, "send one Host header, such as Host: example.org", field="Host")
    coding = headers.get(b"transfer-encoding")
    if coding is not None and coding.lower() != b"chunked":
        raise Problem(
            NOT_IMPLEMENTED, "the only Transfer-Encoding is chunked, once", headers={"Connection": "close"}
        )
