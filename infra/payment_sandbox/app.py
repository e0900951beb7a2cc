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

from infra.payment_sandbox.ledger import Ledger
from infra.payment_sandbox.messages import Answer, Wanted, WantedRefund
from infra.payment_sandbox.provider import SandboxProvider, in_progress
from infra.payment_sandbox.test_methods import Behaviour, SandboxToken
from infra.payment_sandbox.webhooks import Afterwards

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


class Underway:
    """The requests to authorise that are being worked on, by their idempotency keys."""

    def __init__(self, provider: SandboxProvider, afterwards: Afterwards) -> None:
        self._provider = provider
        self._afterwards = afterwards
        self._working: dict[str, asyncio.Task[Answer]] = {}

    async def authorize(self, key: str, wanted: Wanted) -> Answer:
        """Work on a request to the end, whether or not its sender still waits for the answer."""
        if key in self._working:
            return in_progress()
        task = asyncio.create_task(self._work(key, wanted))
        self._working[key] = task
        task.add_done_callback(lambda _: self._working.pop(key))
        return await asyncio.shield(task)

    async def _work(self, key: str, wanted: Wanted) -> Answer:
        token = SandboxToken.parse(wanted.payment_method)
        new = self._provider.payment(wanted.order_id).status is HTTPStatus.NOT_FOUND
        if token.behaviour is Behaviour.SLOW and new:
            await asyncio.sleep(token.delay)
        answer = self._provider.authorize(key, wanted)
        if answer.told:
            self._afterwards.tell()
        if answer.status is HTTPStatus.ACCEPTED:
            self._afterwards.wake()
        if answer.held:
            await asyncio.sleep(answer.held)
            self._afterwards.decide()
            answer = self._provider.decided(wanted.order_id)
        return answer


@post("/payments")
async def authorize(key: Key, body: bytes, underway: Underway) -> Response[bytes]:
    """Set money aside."""
    return respond(await underway.authorize(key, read(WANTED, body)))


@get("/payments")
async def changed_since(
    provider: SandboxProvider,
    changed_since: float = 0.0,
    after: str | None = None,
    limit: Annotated[int, Parameter(ge=1, le=1_000)] = 100,
) -> Response[bytes]:
    """The payments changed since a time (seconds since 1970), by pages."""
    return respond(provider.changed_since(changed_since, after, limit))


@get("/payments/{order_id:str}")
async def payment(order_id: OrderId, provider: SandboxProvider) -> Response[bytes]:
    """How a payment stands."""
    return respond(provider.payment(order_id))


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


@post("/dashboard/payments/{order_id:str}/{what:str}")
async def by_hand(
    order_id: OrderId,
    what: Annotated[str, Parameter(pattern=r"\A(void|capture|refund)\Z")],
    body: bytes,
    provider: SandboxProvider,
    afterwards: Afterwards,
) -> Response[bytes]:
    """What somebody does in the dashboard; a refund has a body as one that is asked for."""
    answer = provider.by_hand(order_id, what, read(WANTED_REFUND, body) if what == "refund" else None)
    afterwards.tell()
    return respond(answer)


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
    underway = Underway(provider, afterwards)
    return Litestar(
        [authorize, changed_since, payment, capture, void, refund, by_hand, books, health],
        dependencies={
            "ledger": Provide(lambda: ledger, sync_to_thread=False),
            "provider": Provide(lambda: provider, sync_to_thread=False),
            "underway": Provide(lambda: underway, sync_to_thread=False),
            "afterwards": Provide(lambda: afterwards, sync_to_thread=False),
        },
        request_max_body_size=BODY_LIMIT,
        openapi_config=None,
        logging_config=None,
    )
