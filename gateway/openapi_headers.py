"""The headers of requests and answers, as the API's description has them."""

from __future__ import annotations

from typing import Any


def request_header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def answer_header(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "schema": schema}


TEXT = {"type": "string"}

REQUEST_HEADERS = {
    "X-Correlation-Id": request_header(
        "X-Correlation-Id",
        "Names what this request belongs to; 1 to 128 letters, digits, . _ : or -. Left out or otherwise, it "
        "is the trace id of `traceparent`, or a new one.",
        TEXT,
    ),
    "traceparent": request_header("traceparent", "W3C trace context; what is none is ignored.", TEXT),
    "Consistency-Token": request_header(
        "Consistency-Token",
        "One or several (at most 32), with commas: the answer includes what they name.",
        {**TEXT, "examples": ["ordering:42.7"]},
    ),
    "Prefer": request_header(
        "Prefer",
        "`wait=SECONDS`: how long to wait for what the consistency tokens name; 2 unless said, 30 at most.",
        {**TEXT, "examples": ["wait=5"]},
    ),
    "Idempotency-Key": request_header(
        "Idempotency-Key",
        "1 to 255 printable ASCII characters, the caller's own. Sent again with the same body, the request "
        "has no further effect and gets the first answer.",
        TEXT,
    ),
    "If-Match": request_header(
        "If-Match",
        "An ETag: the command is carried out only if the thing still has this version, else 412.",
        {**TEXT, "examples": ['"3"']},
    ),
}

ANSWER_HEADERS = {
    "X-Correlation-Id": answer_header("What this request belongs to, also in our logs.", TEXT),
    "traceresponse": answer_header("W3C trace context of this request, where traces are kept.", TEXT),
    "Consistency-Token": answer_header("What a later request may ask to come after.", TEXT),
    "ETag": answer_header("The thing's version, for `If-Match`.", TEXT),
    "Location": answer_header("Where the new thing is found.", TEXT),
    "RateLimit-Policy": answer_header(
        "The quota that the request was counted for, unless there is none.",
        {**TEXT, "examples": ['"commands";q=60000;w=10']},
    ),
    "RateLimit": answer_header(
        "What remains of it, and in how many seconds all of it will be there.",
        {**TEXT, "examples": ['"commands";r=59999;t=1']},
    ),
    "Retry-After": answer_header("Seconds after which to try again.", {"type": "integer"}),
    "WWW-Authenticate": answer_header("What is wrong with the token.", TEXT),
}
