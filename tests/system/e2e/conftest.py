"""The whole embedded stack, as `orderfold up` runs it, once for all end-to-end tests."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio

from infra.embedded.mongo import MongoProgram
from infra.embedded.stack import EmbeddedStack
from infra.mongo import Mongo
from infra.security.development_issuer import SigningKeys
from infra.sockets import free_port
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.shop import Shop

SCOPES = (
    *("catalog:read", "catalog:write", "stock:read", "stock:write", "customers:read", "customers:write"),
    *("orders:read", "orders:write", "orders:price", "shipments:read", "shipments:write"),
    *("reports:read", "operate"),
)


def bearer(stack: EmbeddedStack, *scopes: str) -> str:
    """A token of the stack's own issuer."""
    settings = stack.settings
    return SigningKeys.load(stack.folder.keys).mint(
        scopes or SCOPES,
        subject="shop",
        lifetime=timedelta(hours=2),
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
    )


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def stack(
    tmp_path_factory: pytest.TempPathFactory, mongo_program: MongoProgram
) -> AsyncIterator[EmbeddedStack]:
    """A running stack for each file, with the time-outs of the product: a slow machine keeps to them."""
    folder: Path = tmp_path_factory.mktemp("stack") / "data"
    environ = {"ORDERFOLD_MONGOD": mongo_program.chosen}
    async with EmbeddedStack(folder, port=free_port(), environ=environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def meanwhile() -> AsyncIterator[Callable[[Coroutine[Any, Any, str]], asyncio.Task[str]]]:
    """Begins what goes on beside a test; what is not done when it ends is given up."""
    begun: list[asyncio.Task[str]] = []

    def begin(work: Coroutine[Any, Any, str]) -> asyncio.Task[str]:
        begun.append(asyncio.create_task(work))
        return begun[-1]

    yield begin
    for task in begun:
        task.cancel()
    await asyncio.gather(*begun, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def hasty_stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedStack]:
    """A running stack whose unpaid orders are given up after three seconds."""
    folder: Path = tmp_path_factory.mktemp("hasty") / "data"
    environ = {"ORDERFOLD_PAYMENT_TIMEOUT": "3", "ORDERFOLD_PROVIDER_TIMEOUT": "1"}
    async with EmbeddedStack(folder, port=free_port(), environ=environ) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="session")
async def shop(stack: EmbeddedStack) -> AsyncIterator[Shop]:
    """A client of the stack with every scope."""
    async with Shop(stack.url, bearer(stack)) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def provider(stack: EmbeddedStack) -> AsyncIterator[httpx.AsyncClient]:
    """The sandbox payment provider, asked for its own books."""
    async with httpx.AsyncClient(base_url=stack.settings.provider_url, timeout=HOLDS_SECONDS) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def mongo(stack: EmbeddedStack) -> AsyncIterator[Mongo]:
    """The read models' database."""
    mongo = Mongo(stack.settings)
    yield mongo
    mongo.close()
