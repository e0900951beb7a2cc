"""A real gateway process on a real port, a real NATS server, and contexts that answer as they are told."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import msgspec
import nats
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from nats.aio.client import Client
from nats.aio.msg import Msg

from contexts.catalog.events import ProductAdded
from contexts.messages import wire_name
from infra.embedded.servers import Process, listening, nats_server
from infra.event_log.messages import LogAnswer, LogEvent, LogRequest
from infra.messages.command_headers import from_headers
from infra.messages.commands import Accepted, Answer
from infra.messages.events import PARTITIONS, Metadata, key_of, partition_of
from infra.security.webhook_signature import new_secret
from infra.sockets import free_port
from tests.gateway.issuer import Issuer
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.nats_settled import settled

ROOT = Path(__file__).parents[2]


class Gateway:
    """A gateway process and where it is."""

    def __init__(self, folder: Path, environ: dict[str, str], *, port: int | None = None) -> None:
        self.folder = folder
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environ = {
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "ORDERFOLD_PORT": str(self.port),
            "ORDERFOLD_DATA": str(folder),
            "ORDERFOLD_MONGO_URL": "mongodb://127.0.0.1:1",
            **environ,
        }
        self.process = Process(
            "gateway",
            [sys.executable, "-m", "gateway"],
            folder / "gateway.log",
            lambda: listening(self.port),
            env=self.environ,
        )

    @property
    def log(self) -> str:
        return (self.folder / "gateway.log").read_text()

    def start(self) -> None:
        """Return when it listens and has its keys and NATS."""
        self.process.start()
        self.wait_for_log("nats connected", "token keys loaded")

    def wait_for_log(self, *lines: str) -> None:
        """Return when the gateway has said all of this."""
        deadline = time.monotonic() + HOLDS_SECONDS
        while not all(line in self.log for line in lines):
            assert time.monotonic() < deadline, self.log
            time.sleep(0.01)


@pytest.fixture(scope="session")
def issuer(tmp_path_factory: pytest.TempPathFactory) -> Issuer:
    """Whoever signs the bearer tokens the gateway believes."""
    issuer = Issuer(rsa=rsa.generate_private_key(65537, 2048), ec=ec.generate_private_key(ec.SECP256R1()))
    issuer.jwks_file = tmp_path_factory.mktemp("keys") / "jwks.json"
    issuer.jwks_file.write_text(json.dumps(issuer.jwks()))
    return issuer


@pytest.fixture(scope="session")
def webhook_secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file with the secret of the payment provider's webhooks."""
    file = tmp_path_factory.mktemp("webhooks") / "secret"
    file.write_text(new_secret())
    return file


@pytest.fixture(scope="module")
def nats_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One nats-server for a file of tests."""
    port = free_port()
    process = nats_server(tmp_path_factory.mktemp("nats"), port, free_port())
    process.start()
    yield f"nats://127.0.0.1:{port}"
    process.kill()


@pytest.fixture(scope="module")
def environ(nats_url: str, issuer: Issuer, webhook_secret: Path) -> dict[str, str]:
    """What a gateway is told."""
    return {
        "ORDERFOLD_NATS_URL": nats_url,
        "ORDERFOLD_JWKS": str(issuer.jwks_file),
        "ORDERFOLD_JWT_ISSUER": issuer.name,
        "ORDERFOLD_JWT_AUDIENCE": issuer.audience,
        "ORDERFOLD_WEBHOOK_SECRET": str(webhook_secret),
    }


@pytest.fixture(scope="module")
def gateway(tmp_path_factory: pytest.TempPathFactory, environ: dict[str, str]) -> Iterator[Gateway]:
    """One gateway for a file of tests."""
    gateway = Gateway(tmp_path_factory.mktemp("gateway"), environ)
    gateway.start()
    yield gateway
    gateway.process.kill()


@pytest.fixture
def new_gateway(tmp_path: Path, environ: dict[str, str]) -> Iterator[Callable[..., Gateway]]:
    """Makes gateways of a test's own; `start` them."""
    made: list[Gateway] = []

    def make(**settings: str) -> Gateway:
        folder = tmp_path / f"gateway-{len(made)}"
        folder.mkdir()
        made.append(Gateway(folder, environ | settings))
        return made[-1]

    yield make
    for gateway in made:
        gateway.process.kill()


@pytest.fixture
def scopes() -> str:
    """What the client's token allows; a test may have its own."""
    return (
        "orders:read orders:write catalog:read catalog:write stock:read stock:write customers:read "
        "customers:write shipments:read shipments:write reports:read operate"
    )


@pytest.fixture
async def http(gateway: Gateway, issuer: Issuer, scopes: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with a good token."""
    headers = {"Authorization": f"Bearer {issuer.token(scope=scopes)}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, timeout=HOLDS_SECONDS, verify=False
    ) as client:
        yield client


STREAMS = {
    "catalog": ("product", "sku"),
    "customers": ("customer", "customer_id"),
    "inventory": ("stock", "sku"),
    "ordering": ("order", "order_id"),
    "payments": ("payment", "order_id"),
    "shipping": ("shipment", "order_id"),
    "fulfilment": ("fulfilment", "order_id"),
}


class Contexts:
    """Whoever answers `cmd.*.*`: accepts everything unless `answers` says otherwise, and remembers it.

    In its catalog every SKU is a product, save those that are `unlisted`.
    """

    def __init__(self, nats: Client) -> None:
        self._nats = nats
        self.received: list[Msg] = []
        self.answers: Callable[[Msg], Answer | None] = lambda _: None
        self.hold: asyncio.Event | None = None
        """While it is set up and not set, answers wait."""
        self.late = False
        """Answer only when the deadline passes."""
        self.unlisted: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def tell_of_product(self, message: Msg) -> None:
        """Answer a question for a product's events."""
        stream = msgspec.json.decode(message.data, type=LogRequest).stream
        assert stream is not None
        sku, now = key_of(stream), datetime.now(UTC)
        added = ProductAdded(sku=sku, name=sku, unit_price=1, currency="GBP")
        event = LogEvent(
            1,
            0,
            partition_of(sku),
            stream,
            1,
            wire_name(ProductAdded),
            msgspec.Raw(msgspec.json.encode(added)),
            Metadata(time=now, causation_id="c", correlation_id="c", actor="shop"),
        )
        events = () if sku in self.unlisted else (event,)
        await message.respond(msgspec.json.encode(LogAnswer(events, 1, (1,) * PARTITIONS)))

    async def receive(self, message: Msg) -> None:
        """Take one in; answers are given side by side, as contexts do it."""
        self.received.append(message)
        task = asyncio.create_task(self._serve(message))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, message: Msg) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.late:
            deadline = from_headers(message.headers).deadline
            await asyncio.sleep((deadline - datetime.now(UTC)).total_seconds())
        answer = self.answers(message) or accepted(message)
        await message.respond(msgspec.json.encode(answer))

    async def wait_for(self, count: int) -> None:
        """Return when so many commands have arrived."""
        async with asyncio.timeout(HOLDS_SECONDS):
            while len(self.received) < count:
                await asyncio.sleep(0.005)

    @property
    def ids(self) -> list[str]:
        """The commands' ids."""
        return [from_headers(message.headers).command_id for message in self.received]

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(message.data) for message in self.received]


def accepted(message: Msg) -> Accepted:
    """What a context says that has carried a command out."""
    category, field = STREAMS[message.subject.split(".")[1]]
    stream = f"{category}-{json.loads(message.data)[field]}"
    return Accepted(stream, 1, 42, partition_of(key_of(stream)))


@pytest.fixture
async def contexts(nats_url: str) -> AsyncIterator[Contexts]:
    """Contexts that answer at once."""
    client = await nats.connect(nats_url)
    contexts = Contexts(client)
    await client.subscribe("cmd.*.*", cb=contexts.receive)
    await client.subscribe("svc.catalog.log", cb=contexts.tell_of_product)
    await settled(client)
    yield contexts
    await client.close()
