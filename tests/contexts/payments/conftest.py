"""The sandbox provider as a real process, and somebody who receives its webhooks over real HTTP."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from contexts.payments.events import CaptureRequested, PaymentRequested, RefundRequested, VoidRequested
from contexts.payments.http_provider import HttpProvider
from contexts.payments.provider import Approved, Captured, Declined, Done, Impossible, Missing, Pending
from contexts.payments.provider_payment import PaymentPage, ProviderPayment
from infra.embedded.servers import Process, listening
from infra.security.webhook_signature import new_secret, read_secret, verify
from infra.sockets import free_port
from tests.support.deadlines import HOLDS_SECONDS


class Webhook(msgspec.Struct):
    """A webhook that arrived, its signature verified, and how it was answered."""

    id: str
    body: dict[str, Any]
    answered: HTTPStatus


class WebhookListener:
    """A tiny HTTP server; it refuses webhooks while `answer` is an error."""

    def __init__(self, port: int, key: bytes) -> None:
        self.port = port
        self.received: list[Webhook] = []
        self.answer = HTTPStatus.NO_CONTENT
        self._key = key
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)

    async def stop(self) -> None:
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        pairs = (line.split(": ", 1) for line in head[1:] if line)
        headers = {name.lower(): value for name, value in pairs}
        body = await reader.readexactly(int(headers["content-length"]))
        webhook_id = verify(self._key, headers, body)
        self.received.append(Webhook(webhook_id, msgspec.json.decode(body), self.answer))
        status = f"HTTP/1.1 {self.answer.value} {self.answer.phrase}\r\n"
        writer.write(f"{status}Content-Length: 0\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        writer.close()

    async def arrived(self, count: int) -> list[Webhook]:
        """The webhooks, once so many have arrived."""
        await eventually(lambda: self._count(count), "webhooks")
        return self.received

    async def _count(self, count: int) -> bool:
        return len(self.received) >= count


async def eventually(holds: Callable[[], Awaitable[bool]], what: str) -> None:
    """Return when it holds; fails after the deadline."""
    try:
        async with asyncio.timeout(HOLDS_SECONDS):
            while not await holds():
                await asyncio.sleep(0.01)
    except TimeoutError:
        pytest.fail(f"did not come to be: {what}")


class Sandbox:
    """The provider under test."""

    def __init__(self, folder: Path) -> None:
        self.port, self.webhook_port = free_port(), free_port()
        self.secret_file = folder / "webhook.secret"
        self.secret_file.write_text(new_secret())
        self.data = folder / "provider"
        self.log = folder / "provider.log"
        self.url = f"http://127.0.0.1:{self.port}"
        self.process = self.make(self.port)

    def make(self, port: int) -> Process:
        """A process on the same data, not yet started."""
        return Process(
            "payment sandbox",
            [
                *(sys.executable, "-m", "infra.payment_sandbox"),
                *("--port", str(port)),
                *("--data", str(self.data)),
                *("--webhook-url", f"http://127.0.0.1:{self.webhook_port}/webhooks"),
                *("--secret-file", str(self.secret_file)),
            ],
            self.log,
            lambda: listening(port),
        )


class Books:
    """What the provider's ledger says, and its HTTP interface as it is."""

    def __init__(self, url: str) -> None:
        self.http = httpx.AsyncClient(base_url=url, timeout=HOLDS_SECONDS)

    async def entries(self, order_id: str) -> list[tuple[str, int]]:
        """What was entered for an order: kind and amount."""
        ledger = (await self.http.get("/ledger")).json()
        return [(it["kind"], it["amount"]) for it in ledger["entries"] if it["order_id"] == order_id]

    async def dashboard(self, order_id: str, what: str, **body: Any) -> httpx.Response:
        """Do something by hand in the provider's dashboard."""
        return await self.http.post(f"/dashboard/payments/{order_id}/{what}", json=body)

    async def post(self, path: str, key: str, body: dict[str, Any] | None = None) -> httpx.Response:
        """Send a request with an idempotency key."""
        return await self.http.post(path, json=body, headers={"Idempotency-Key": key})


class Asking:
    """The adapter that payments uses, asked in fewer words: what is asked for one order has one key."""

    def __init__(self, url: str, timeout: float) -> None:
        self.http = HttpProvider(url, timeout)

    async def close(self) -> None:
        await self.http.close()

    async def authorize(
        self, order_id: str, amount: int, currency: str, method: str
    ) -> Approved | Declined | Pending | Impossible:
        return await self.http.authorize(
            PaymentRequested(
                order_id=order_id,
                amount=amount,
                currency=currency,
                payment_method=method,
                idempotency_key=f"{order_id}:authorize",
            )
        )

    async def capture(self, order_id: str) -> Captured | Missing | Impossible:
        wanted = CaptureRequested(
            order_id=order_id, amount=950, currency="GBP", idempotency_key=f"{order_id}:capture"
        )
        return await self.http.capture(wanted)

    async def void(self, order_id: str) -> Done | Pending | Missing | Impossible:
        return await self.http.void(VoidRequested(order_id=order_id, idempotency_key=f"{order_id}:void"))

    async def refund(self, order_id: str, return_id: str, amount: int) -> Done | Missing | Impossible:
        return await self.http.refund(
            RefundRequested(
                order_id=order_id,
                return_id=return_id,
                amount=amount,
                currency="GBP",
                idempotency_key=f"{order_id}:refund:{return_id}",
            )
        )

    async def payment(self, order_id: str) -> ProviderPayment | Missing:
        return await self.http.payment(order_id)

    async def changed_since(self, since: float, after: str | None = None) -> PaymentPage:
        return await self.http.changed_since(since, after)


@pytest.fixture(scope="module")
def shared_sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    """One provider for all tests of a module: each uses orders of its own."""
    sandbox = Sandbox(tmp_path_factory.mktemp("sandbox"))
    sandbox.process.start()
    yield sandbox
    sandbox.process.kill()


@pytest.fixture
def own_sandbox(tmp_path: Path) -> Iterator[Sandbox]:
    """A provider of the test's own, to be killed and started again."""
    sandbox = Sandbox(tmp_path)
    sandbox.process.start()
    yield sandbox
    sandbox.process.kill()


async def listener_of(sandbox: Sandbox) -> AsyncIterator[WebhookListener]:
    listener = WebhookListener(sandbox.webhook_port, read_secret(sandbox.secret_file))
    await listener.start()
    yield listener
    await listener.stop()


@pytest.fixture
async def webhooks(shared_sandbox: Sandbox) -> AsyncIterator[WebhookListener]:
    """Receives the shared provider's webhooks."""
    async for listener in listener_of(shared_sandbox):
        yield listener


@pytest.fixture
async def provider(shared_sandbox: Sandbox) -> AsyncIterator[Asking]:
    """The adapter that payments uses, on the shared provider."""
    adapter = Asking(shared_sandbox.url, timeout=HOLDS_SECONDS)
    yield adapter
    await adapter.close()


@pytest.fixture
async def hasty_provider(shared_sandbox: Sandbox) -> AsyncIterator[Asking]:
    """One that does not wait long for an answer."""
    adapter = Asking(shared_sandbox.url, timeout=1.0)
    yield adapter
    await adapter.close()


@pytest.fixture
async def books(shared_sandbox: Sandbox) -> AsyncIterator[Books]:
    """The shared provider's ledger."""
    reader = Books(shared_sandbox.url)
    yield reader
    await reader.http.aclose()
