"""The payment provider over HTTP, as the sandbox provider speaks it."""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated, Any, TypeVar

import httpx
import msgspec
from msgspec import Meta

from contexts.messages import Amount, OrderId
from contexts.payments.events import CaptureRequested, PaymentRequested, RefundRequested, VoidRequested
from contexts.payments.provider import Approved, Captured, Declined, Done, Impossible, Missing, Pending
from contexts.payments.provider_payment import PaymentPage, ProviderPayment
from infra.observability import tracing
from infra.observability.metrics.instruments import provider_request
from infra.retry import retry
from infra.runtime.context import Unavailable

TRIES = 3
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 0.4
"""Seconds before the second and the third try of a request that met a fault of the provider."""

CONNECTIONS = 64
"""Kept open at most; a request beyond waits for one within its time limit."""

PAGE = 500
"""Payments of one page of the provider's books."""

IN_PROGRESS = "in-progress"
"""The provider's code for a request whose first sending it is still working on."""

NO_PAYMENT = "no-payment"
"""The provider's code for an order it has no payment of; any other 404 is an address that is wrong."""


class Body(msgspec.Struct, frozen=True):
    """What we read of the provider's answers."""

    status: str = ""
    reference: str = ""
    reason: str = ""
    code: str = ""
    order_id: str = ""
    amount: Amount = 0
    currency: Annotated[str, Meta(pattern=r"^([A-Z]{3})?$(?!\n)")] = ""


BODY = msgspec.json.Decoder(Body)
PAYMENT = msgspec.json.Decoder(ProviderPayment)
STANDINGS = msgspec.json.Decoder(PaymentPage)

T = TypeVar("T")


class _Fault(Exception):
    """The provider is at fault, or still at work on the request: it may be sent again."""


class HttpProvider:
    """Asks over one pool of connections. A slow answer is not asked for again here: the sender does that."""

    def __init__(self, url: str, timeout: float) -> None:
        """`timeout` in seconds, for one request."""
        self._client = httpx.AsyncClient(
            base_url=url,
            timeout=timeout,
            limits=httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS),
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def authorize(self, wanted: PaymentRequested) -> Approved | Declined | Pending | Impossible:
        """Hold the money."""
        content = {
            "order_id": wanted.order_id,
            "amount": wanted.amount,
            "currency": wanted.currency,
            "payment_method": wanted.payment_method,
        }
        code, body = await self._change("authorize", "/payments", wanted.idempotency_key, content)
        match code, body.status:
            case HTTPStatus.CREATED, "authorized":
                _about(wanted.order_id, body)
                return Approved(body.reference, body.amount, body.currency)
            case HTTPStatus.PAYMENT_REQUIRED, _:
                return Declined(body.reason)
            case HTTPStatus.ACCEPTED, _:
                return Pending()
            case HTTPStatus.CONFLICT, _:
                return Impossible(body.reason)
            case _:
                raise _unexpected("/payments", code, body)

    async def capture(self, wanted: CaptureRequested) -> Captured | Missing | Impossible:
        """Collect what is held."""
        path = f"/payments/{wanted.order_id}/capture"
        code, body = await self._change("capture", path, wanted.idempotency_key, {})
        if code == HTTPStatus.OK:
            _about(wanted.order_id, body)
            return Captured(body.amount, body.currency)
        return _refused(path, code, body)

    async def void(self, wanted: VoidRequested) -> Done | Pending | Missing | Impossible:
        """Let go of what is held."""
        path = f"/payments/{wanted.order_id}/void"
        code, body = await self._change("void", path, wanted.idempotency_key, {})
        if code == HTTPStatus.CONFLICT and body.status == "pending":
            return Pending()
        return Done() if code == HTTPStatus.OK else _refused(path, code, body)

    async def refund(self, wanted: RefundRequested) -> Done | Missing | Impossible:
        """Give back a part of what was captured."""
        path = f"/payments/{wanted.order_id}/refunds"
        content = {"refund_id": wanted.return_id, "amount": wanted.amount}
        code, body = await self._change("refund", path, wanted.idempotency_key, content)
        return Done() if code == HTTPStatus.OK else _refused(path, code, body)

    async def payment(self, order_id: OrderId) -> ProviderPayment | Missing:
        """How a payment stands."""
        path = f"/payments/{order_id}"
        answer, body = await self._ask("look", "GET", path)
        if answer.status_code == HTTPStatus.NOT_FOUND and body.code == NO_PAYMENT:
            return Missing()
        if answer.status_code != HTTPStatus.OK:
            raise _unexpected(path, answer.status_code, body)
        provider_payment = _read(PAYMENT, path, answer)
        if provider_payment.order_id != order_id:
            raise Unavailable(f"the payment provider answered {path} with another order's payment")
        return provider_payment

    async def changed_since(self, since: float, after: str | None) -> PaymentPage:
        """The payments changed since a time, by pages."""
        query: dict[str, Any] = {"changed_since": since, "limit": PAGE}
        if after is not None:
            query["after"] = after
        answer, body = await self._ask("list", "GET", "/payments", params=query)
        if answer.status_code != HTTPStatus.OK:
            raise _unexpected("/payments", answer.status_code, body)
        return _read(STANDINGS, "/payments", answer)

    async def _change(self, operation: str, path: str, key: str, content: dict[str, Any]) -> tuple[int, Body]:
        headers = {"Idempotency-Key": key}
        answer, body = await self._ask(operation, "POST", path, json=content, headers=headers)
        return answer.status_code, body

    async def _ask(
        self, operation: str, method: str, path: str, *, headers: dict[str, str] | None = None, **content: Any
    ) -> tuple[httpx.Response, Body]:
        """Send a request; once more, and again, if the provider is at fault or still at work on it."""
        try:
            return await retry(
                lambda: self._try(operation, method, path, headers, content),
                _Fault,
                first=FIRST_PAUSE,
                longest=LONGEST_PAUSE,
                tries=TRIES,
            )
        except _Fault as fault:
            raise Unavailable(f"the payment provider failed {TRIES} times at {path}: {fault}") from fault

    async def _try(
        self,
        operation: str,
        method: str,
        path: str,
        headers: dict[str, str] | None,
        content: dict[str, Any],
    ) -> tuple[httpx.Response, Body]:
        """Send a request once; raises _Fault if it may be sent again, and Unavailable."""
        try:
            with (
                provider_request(operation) as request,
                tracing.calling("provider", operation, path) as span,
            ):
                carried = span.carry(dict(headers or {}))
                answer = await self._client.request(method, path, headers=carried, **content)
                tracing.responded(span, answer.status_code)
                if not answer.is_server_error:
                    body = _read(BODY, path, answer)
                    if body.code != IN_PROGRESS:
                        request.outcome = "answered"
                        return answer, body
        except httpx.TimeoutException as error:
            raise Unavailable(f"the payment provider did not answer {path} in time") from error
        except httpx.TransportError as error:
            raise _Fault(repr(error)) from error
        raise _Fault(f"status {answer.status_code}")


def _read(decoder: msgspec.json.Decoder[T], path: str, answer: httpx.Response) -> T:
    try:
        return decoder.decode(answer.content)
    except msgspec.DecodeError as error:
        raise Unavailable(f"the payment provider's answer to {path} is unreadable: {error}") from error


def _about(order_id: OrderId, body: Body) -> None:
    if body.order_id != order_id or not body.currency:
        raise Unavailable(f"the payment provider's answer is not about the payment of order {order_id}")


def _refused(path: str, code: int, body: Body) -> Missing | Impossible:
    if code == HTTPStatus.CONFLICT:
        return Impossible(body.reason)
    if code == HTTPStatus.NOT_FOUND and body.code == NO_PAYMENT:
        return Missing()
    raise _unexpected(path, code, body)


def _unexpected(path: str, code: int, body: Body) -> Unavailable:
    return Unavailable(f"the payment provider answered {path} with status {code}: {body.reason}")
