"""A lean HTTP/1.1 client for load: keep-alive connections, one request at a time on each."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import msgspec


class Load(msgspec.Struct, frozen=True):
    """What a run of requests took."""

    requests: int
    seconds: float
    latencies: tuple[float, ...]
    """Seconds each request took, sorted."""
    refused: int
    """Answers that were no 2xx."""

    @property
    def rate(self) -> float:
        """Requests per second."""
        return self.requests / self.seconds

    def percentile(self, share: float) -> float:
        """The latency (seconds) that this share of requests stayed within."""
        return self.latencies[min(int(len(self.latencies) * share), len(self.latencies) - 1)]


async def post_all(
    port: int, path: str, body: Callable[[int], bytes], *, token: str, requests: int, connections: int
) -> Load:
    """POST `requests` bodies over `connections` connections; the n-th body is `body(n)`."""
    numbers = iter(range(requests))
    latencies: list[float] = []
    refused = 0

    async def work() -> None:
        nonlocal refused
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        head = (
            f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/json\r\nContent-Length: "
        ).encode()
        for number in numbers:
            payload = body(number)
            begun = time.perf_counter()
            writer.write(head + str(len(payload)).encode() + b"\r\n\r\n" + payload)
            answer = await reader.readuntil(b"\r\n\r\n")
            length = int(answer.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
            await reader.readexactly(length)
            latencies.append(time.perf_counter() - begun)
            refused += answer[9:10] != b"2"
        writer.close()

    begun = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(connections)))
    seconds = time.perf_counter() - begun
    return Load(requests, seconds, tuple(sorted(latencies)), refused)
