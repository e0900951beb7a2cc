"""What every problem must look like."""

from __future__ import annotations

from typing import Any

import httpx


def assert_problem(answer: httpx.Response, status: int, name: str) -> dict[str, Any]:
    """The answer is a problem of this kind, with all that belongs to one; its body."""
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = answer.json()
    assert problem["type"] == f"urn:orderfold:problem:{name}", problem
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["correlation_id"] == answer.headers["X-Correlation-Id"]
    return problem
