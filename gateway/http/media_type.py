"""What a body may be: JSON in UTF-8, and not packed."""

from __future__ import annotations

import re
from collections.abc import Mapping

from gateway.problems import UNSUPPORTED_MEDIA_TYPE, Problem

TOKEN = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+"
QUOTED = rb'"(?:[^"\\]|\\.)*"'
FORM = re.compile(rb"(%b/%b)((?:[ \t]*;(?:[ \t]*%b=(?:%b|%b))?)*)" % (TOKEN, TOKEN, TOKEN, TOKEN, QUOTED))
PARAMETER = re.compile(rb"(%b)=(%b|%b)" % (TOKEN, TOKEN, QUOTED))
"""RFC 9110, sections 5.6.6 and 8.3.1."""

JSON = b"application/json"
UTF_8 = {b"utf-8", b'"utf-8"'}


def refuse_other_media(headers: Mapping[bytes, bytes]) -> None:
    """Raise a Problem unless the body is declared as JSON.

    Types such as `application/merge-patch+json` mean something else than the command they would be taken for.
    """
    given = headers.get(b"content-type", b"")
    if given != JSON and not is_json(given):
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            "send Content-Type: application/json in UTF-8",
            headers={"Accept-Post": "application/json"},
        )
    if headers.get(b"content-encoding", b"identity").lower() != b"identity":
        raise Problem(
            UNSUPPORTED_MEDIA_TYPE,
            "send the body without Content-Encoding",
            headers={"Accept-Encoding": "identity"},
        )


def is_json(content_type: bytes) -> bool:
    """Whether it says JSON, and no other charset than UTF-8; other parameters mean nothing to JSON."""
    found = FORM.fullmatch(content_type.strip(b" \t"))
    if found is None or found[1].lower() != JSON:
        return False
    charsets = [value.lower() for name, value in PARAMETER.findall(found[2]) if name.lower() == b"charset"]
    return len(charsets) < 2 and UTF_8.issuperset(charsets)
