"""The sandbox provider's HTTP interface."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Annotated, TypeVar

import msgspec
from litestar import Litestar, MediaType, Response, get, post
from litestar.di import Provide
from litestar.exceptions import ClientException
from litestar.params import Parameter

from infra.payment_sandbox.afterwards import Afterwards
from infra.payment_sandbox.ledger import Ledger
from infra.payment_sandbox.messages import Answer, Wanted, WantedRefund
from infra.payment_sandbox.provider import SandboxProvider

Key = Annotated[str, Parameter(header="Idempotency-Key", min_length=1, max_length=200)]
OrderId = Annotated[str, Parameter(pattern=r"\A[A-Za-z0-9_-]{1,64}\Z")]

BODY_LIMIT = 10_000
"""Bytes."""


WANTED = msgspec.json.Decoder(Wanted)
WANTED_REFUND = msgspec.json.Decoder(WantedRefund)

T = TypeVar("T")


def read(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """The body of a request, by the letter: the framework would take a number in quotes for a number."""
    try:
        return decoder.decode(body)
    except msgspec.DecodeError as error:
        raise ClientException(str(error)) from None


def respond(answer: Answer) -> Response[bytes]:
    """The HTTP response of an answer."""
    return Response(answer.body, status_code=answer.status, media_type=MediaType.JSON)


@post("/payments")
async def authorize(
    key: Key, body: bytes, provider: SandboxProvider, afterwards: Afterwards
) -> Response[bytes]:
    """Set money aside."""
    wanted = read(WANTED, body)
    answer = provider.authorize(key, wanted)
    if answer.status is HTTPStatus.ACCEPTED:
        afterwards.wake()
        if answer.held:
            await asyncio.sleep(answer.held)
            afterwards.decide()
            answer = provider.standing(wanted.order_id)
    return respond(answer)


@post("/payments/{order_id:str}/capture")
async def capture(key: Key, order_id: OrderId, provider: SandboxProvider) -> Response[bytes]:
    """Collect what was set aside."""
    return respond(provider.capture(key, order_id))


@post("/payments/{order_id:str}/void")
async def void(key: Key, order_id: OrderId, provider: SandboxProvider) -> Response[bytes]:
    """Let go of what was set aside."""
    return respond(provider.void(key, order_id))


@post("/payments/{order_id:str}/refunds")
async def refund(key: Key, order_id: OrderId, body: bytes, provider: SandboxProvider) -> Response[bytes]:
    """Give back a part of what was collected."""
    return respond(provider.refund(key, order_id, read(WANTED_REFUND, body)))


@get("/ledger")
async def books(ledger: Ledger, *, details: bool = True) -> Response[bytes]:
    """The sums of the ledger, and every payment and entry unless `details=false`."""
    return respond(Answer(HTTPStatus.OK, msgspec.json.encode(ledger.books(details=details))))


@get("/health")
async def health() -> Response[bytes]:
    """It serves."""
    return respond(Answer(HTTPStatus.OK, b'{"status":"ok"}'))


def make_app(ledger: Ledger, provider: SandboxProvider, afterwards: Afterwards) -> Litestar:
    """The application on these parts."""
    return Litestar(
        [authorize, capture, void, refund, books, health],
        dependencies={
            "ledger": Provide(lambda: ledger, sync_to_thread=False),
            "provider": Provide(lambda: provider, sync_to_thread=False),
            "afterwards": Provide(lambda: afterwards, sync_to_thread=False),
        },
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
