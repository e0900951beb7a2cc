"""Counts a request for its client, and refuses it when the client has asked too much."""

from __future__ import annotations

from gateway.http.client_address import client_address
from gateway.http.request import RequestContext
from gateway.problems import RATE_LIMITED, Problem
from gateway.rate_limits.quota import RouteClass


def count_for(incoming: RequestContext, name: RouteClass, client: str) -> None:
    """Count it, and put the rest of the quota into the answer; raises a Problem."""
    limit = incoming.services.limits.get(name)
    if limit is None:
        return
    state = limit.take(client)
    incoming.limit_headers = (
        (b"ratelimit-policy", limit.policy),
        (b"ratelimit", limit.header(state)),
    )
    if state.wait:
        raise Problem(
            RATE_LIMITED,
            f"one client may send {limit.quota:,} requests of the class {name} in {limit.seconds:,} s",
            headers={"Retry-After": str(state.wait)},
        )


def count_by_address(incoming: RequestContext) -> None:
    """Count one that proves nothing about who sends it; raises a Problem."""
    count_for(incoming, RouteClass.OPEN, address_of(incoming))


def address_of(incoming: RequestContext) -> str:
    """Where it comes from, as far as our own proxies tell."""
    return client_address(incoming.scope, incoming.services.proxies)
