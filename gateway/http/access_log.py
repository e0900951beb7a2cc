"""One line of the log for each request: what was asked, how it was answered, in what time, and who asked."""

from __future__ import annotations

import math

import structlog

from gateway.http.request import RequestContext
from infra.settings import WhatIsLogged

FROM_STATUS = {"on": 0.0, "errors": 400.0, "off": math.inf}

ASKED_BY_MACHINES = ("/health/live", "/health/ready", "/health/serving", "/metrics")
"""Asked for every few seconds for ever: worth a line only at level debug."""

log = structlog.get_logger(__name__)


class AccessLog:
    """Which requests get a line, and what is in it: the route, never the path, a query or a body."""

    def __init__(self, wanted: WhatIsLogged) -> None:
        self._from_status = FROM_STATUS[wanted]

    def answered(
        self, incoming: RequestContext, route: str, method: str, status: int, seconds: float
    ) -> None:
        """Write the line of a request; who it is about is bound to the request's other lines as well."""
        if status < self._from_status:
            return
        # A client that asks too much must not fill the log as well: metrics count these.
        seldom = route in ASKED_BY_MACHINES or status == 429
        say = log.debug if seldom else log.info
        say(
            "request",
            route=route,
            method=method,
            status=status,
            milliseconds=round(seconds * 1_000, 1),
            subject=incoming.actor,
        )
