"""How much each client may ask: so many requests in so many seconds, by class of route.

A client is a token's subject, or an address where no token is needed. Each has a bucket that holds a quota
and is filled again steadily: a client that has been quiet may send all of it at once.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict
from collections.abc import Mapping
from enum import StrEnum

import msgspec

MOST_CLIENTS = 50_000
"""Of each class; whoever has been quiet longest is forgotten first, which gives them a full bucket."""
MOST_TOLD = 2_000
"""Clients of each class whose requests are told to other gateways at a time: a message has its limit."""
LONGEST_NAME = 64
OFF = "off"


class RouteClass(StrEnum):
    """What is counted together."""

    READS = "reads"
    COMMANDS = "commands"
    OPEN = "open"
    """Without a token, or with one that proves nothing."""


class LimitState(msgspec.Struct, frozen=True):
    """Where a client stands after a request."""

    left: int
    """Requests it may send at once."""
    full_in: int
    """Seconds until it has its whole quota again."""
    wait: int
    """Seconds until it may send one; 0 if this one was let through."""


class Bucket:
    """What a client has left, and when that was so."""

    __slots__ = ("at", "left")

    def __init__(self, left: float, at: float) -> None:
        self.left = left
        self.at = at


class Limit:
    """One class of routes: what each client has left of its quota."""

    def __init__(self, name: RouteClass, quota: int, seconds: int, *, most: int = MOST_CLIENTS) -> None:
        self.name = name
        self.quota = quota
        self.seconds = seconds
        self._rate = quota / seconds
        self._most = most
        self._buckets: OrderedDict[str, Bucket] = OrderedDict()
        self._untold: dict[str, int] = {}
        self.policy = f'"{name}";q={quota};w={seconds}'.encode()
        """What `RateLimit-Policy` says."""

    def take(self, client: str) -> LimitState:
        """Count one request of a client, unless it has none left."""
        client = short(client)
        bucket = self._filled(client)
        if bucket.left < 1:
            return LimitState(0, self._full_in(bucket), math.ceil((1 - bucket.left) / self._rate))
        bucket.left -= 1
        if client in self._untold or len(self._untold) < MOST_TOLD:
            self._untold[client] = self._untold.get(client, 0) + 1
        return LimitState(int(bucket.left), self._full_in(bucket), 0)

    def header(self, state: LimitState) -> bytes:
        """What `RateLimit` says."""
        return b'"%s";r=%d;t=%d' % (self.name.encode(), state.left, state.full_in)

    def untold(self) -> dict[str, int]:
        """The requests counted here since this was asked last, by client."""
        told, self._untold = self._untold, {}
        return told

    def hear(self, counts: Mapping[str, int]) -> None:
        """Count what another gateway has let through; at most a window's worth is paid later."""
        for client, count in counts.items():
            bucket = self._filled(client)
            bucket.left = max(bucket.left - count, -self.quota)

    def __len__(self) -> int:
        """Clients that are remembered."""
        return len(self._buckets)

    def _filled(self, client: str) -> Bucket:
        now = time.monotonic()
        bucket = self._buckets.get(client)
        if bucket is None:
            bucket = self._buckets[client] = Bucket(self.quota, now)
            if len(self._buckets) > self._most:
                self._buckets.popitem(last=False)
            return bucket
        self._buckets.move_to_end(client)
        bucket.left = min(self.quota, bucket.left + (now - bucket.at) * self._rate)
        bucket.at = now
        return bucket

    def _full_in(self, bucket: Bucket) -> int:
        return math.ceil((self.quota - bucket.left) / self._rate)


Limits = Mapping[RouteClass, Limit]
"""Those that are not off."""


def limits(**said: str) -> Limits:
    """From `REQUESTS/SECONDS` or `off` for each class."""
    found = {}
    for name, text in said.items():
        if text != OFF:
            quota, _, seconds = text.partition("/")
            found[RouteClass(name)] = Limit(RouteClass(name), int(quota), int(seconds))
    return found


def short(client: str) -> str:
    """The client's name, or what stands for a long one."""
    if len(client) <= LONGEST_NAME:
        return client
    return hashlib.blake2b(client.encode(), digest_size=16).hexdigest()
