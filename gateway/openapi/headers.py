"""The headers of requests and answers, as the API's description has them."""

from __future__ import annotations

from typing import Any

from contexts import NAMES as CONTEXTS


def request_header(
    name: str, description: str, schema: dict[str, Any], *, required: bool = False
) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": description, "schema": schema}


def answer_header(description: str, schema: dict[str, Any], *, always: bool = False) -> dict[str, Any]:
    """`always`: wherever it is named, it is there."""
    return {"description": description, "required": always, "schema": schema}


TEXT = {"type": "string"}
TAG = r'(?:W/)?"[!#-~\u0080-\u00ff]*"'
TAGS = rf"^(?:\*|[ \t,]*{TAG}[ \t]*(?:,[ \t]*(?:{TAG}[ \t]*)?)*)$"
IN_STRING = r'(?:[!#-\[\]-~]|\\["\\])'
STRING = rf'"{IN_STRING}(?:(?:{IN_STRING}| ){{0,253}}{IN_STRING})?"'
TOKEN = rf"(?:{'|'.join(CONTEXTS)}):[0-9]{{1,18}}\.(?:1[0-5]|[0-9])"

REQUEST_HEADERS = {
    "X-Correlation-Id": request_header(
        "X-Correlation-Id",
        "Names what this request belongs to; 1 to 128 letters, digits, . _ : or -. Left out or otherwise, it "
        "is the trace id of `traceparent`, or a new one.",
        TEXT,
    ),
    "traceparent": request_header("traceparent", "W3C trace context; an invalid value is ignored.", TEXT),
    "Consistency-Token": request_header(
        "Consistency-Token",
        "One or several (at most 32), with commas: the answer includes what they name.",
        {**TEXT, "pattern": f"^(?:{TOKEN}(?: *, *{TOKEN}){{0,31}})?$", "examples": ["ordering:42.7"]},
    ),
    "Prefer": request_header(
        "Prefer",
        "`wait=SECONDS`: how long to wait for what the consistency tokens name; 2 unless said, 30 at most. "
        "The first `wait` counts; other preferences are ignored (RFC 7240).",
        {**TEXT, "examples": ["wait=5"]},
    ),
    "Idempotency-Key": request_header(
        "Idempotency-Key",
        "1 to 255 printable ASCII characters, the caller's own; in quotes it is the same key as without. "
        "Sent again with the same body, the request has no further effect and gets the first answer.",
        {
            **TEXT,
            "pattern": rf"^(?:[!#-~](?:[ -~]{{0,253}}[!-~])?|{STRING})$",
            "examples": ["basket-7"],
        },
    ),
    "If-Match": request_header(
        "If-Match",
        "ETags, or `*`. A command is carried out only if the thing still has the version of one of them (of "
        "a document's tag, what stands before `-`), or, with `*`, is there at all; else 412. A query is "
        "answered only if the answer has one of them. Weak tags never match.",
        {**TEXT, "pattern": TAGS, "examples": ['"3"']},
    ),
    "If-None-Match": request_header(
        "If-None-Match",
        "ETags of answers the client has, or `*`: 304 if the answer is one of them, strong or weak.",
        {**TEXT, "pattern": TAGS, "examples": ['"3-5d41402abc4b2a76"']},
    ),
    "If-Not-There": request_header(
        "If-None-Match",
        "`*`: the command is carried out only if the thing is not there yet, else 412.",
        {**TEXT, "pattern": r"^\*$"},
    ),
    "webhook-id": request_header(
        "webhook-id",
        "Names the webhook: sent again, it has no further effect.",
        {**TEXT, "pattern": "^[!-~]{1,128}$"},
        required=True,
    ),
    "webhook-timestamp": request_header(
        "webhook-timestamp",
        "When it was sent, in seconds since 1970; at most 5 minutes ago.",
        {**TEXT, "pattern": "^[0-9]{1,11}$"},
        required=True,
    ),
    "webhook-signature": request_header(
        "webhook-signature",
        "One or several, with spaces: `v1,` and the base64 of an HMAC-SHA256 over id, time and body.",
        {**TEXT, "pattern": "^v1,[A-Za-z0-9+/]{43}=( .+)?$"},
        required=True,
    ),
}

ANSWER_HEADERS = {
    "X-Correlation-Id": answer_header("What this request belongs to, also in our logs.", TEXT, always=True),
    "traceresponse": answer_header("W3C trace context of this request, where traces are kept.", TEXT),
    "Consistency-Token": answer_header("What a later request may ask to come after.", TEXT, always=True),
    "ETag": answer_header(
        "The thing's version, and in answers to queries what tells them apart, for `If-Match` and "
        "`If-None-Match`.",
        TEXT,
        always=True,
    ),
    "Preference-Applied": answer_header("The `wait` that counted, if one was said.", TEXT),
    "Location": answer_header("Where the new thing is found.", TEXT, always=True),
    "Cache-Control": answer_header("Whether the answer may be kept, and how long.", TEXT, always=True),
    "Content-Security-Policy": answer_header("What the page may load: nothing.", TEXT, always=True),
    "RateLimit-Policy": answer_header(
        "The quota that the request was counted for, unless there is none.",
        {**TEXT, "examples": ['"commands";q=60000;w=10']},
    ),
    "RateLimit": answer_header(
        "What remains of it, and in how many seconds all of it will be there.",
        {**TEXT, "examples": ['"commands";r=59999;t=1']},
    ),
    "Retry-After": answer_header("Seconds after which to try again.", {"type": "integer"}, always=True),
    "Accept-Post": answer_header("What is taken instead, unless it is the encoding that is not.", TEXT),
    "Accept-Encoding": answer_header("What is taken instead, if it is the encoding that is not.", TEXT),
    "WWW-Authenticate": answer_header("What is wrong with the token, unless it is whose it is.", TEXT),
}
