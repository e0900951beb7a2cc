"""The payment provider over HTTP, as the sandbox provider speaks it."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from contexts.messages import Currency, OrderId, ReturnId
from contexts.payments.provider import Approved, Declined, Done, Impossible, Pending
from infra import tracing
from infra.metrics_provider import provider_request
from infra.runtime import Unavailable

PAUSES = (0.1, 0.3)
"""Seconds before the second and the third try of a request that met a fault of the provider."""

CONNECTIONS = 64
"""Kept open at most; a request beyond waits for one within its time limit."""


class Body(msgspec.Struct, frozen=True):
    """What we read of the provider's answers."""

    status: str = ""
    reference: str = ""
    reason: str = ""


bodies = msgspec.json.Decoder(Body)


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

    async def authorize(
        self, order_id: OrderId, amount: int, currency: Currency, method: str
    ) -> Approved | Declined | Pending | Impossible:
        """Set the money aside."""
        wanted = {"order_id": order_id, "amount": amount, "currency": currency, "payment_method": method}
        code, body = await self._post("authorize", "/payments", f"{order_id}:authorize", wanted)
        match code, body.status:
            case HTTPStatus.CREATED, "authorized":
                return Approved(body.reference)
            case HTTPStatus.PAYMENT_REQUIRED, _:
                return Declined(body.reason)
            case HTTPStatus.ACCEPTED, _:
                return Pending()
            case HTTPStatus.CONFLICT, _:
                return Impossible(body.reason)
            case _:
                raise _unexpected("/payments", code, body)

    async def capture(self, order_id: OrderId) -> Done | Impossible:
        """Collect what was set aside."""
        return await self._change("capture", f"/payments/{order_id}/capture", f"{order_id}:capture", {})

    async def void(self, order_id: OrderId) -> Done | Impossible:
        """Let go of what was set aside, if anything was."""
        code, body = await self._post("void", f"/payments/{order_id}/void", f"{order_id}:void", {})
        if code == HTTPStatus.NOT_FOUND:
            return Done()
        if code == HTTPStatus.CONFLICT and body.status == "pending":
            raise Unavailable(f"the payment provider has not yet decided on order {order_id}")
        return _done("void", code, body)

    async def refund(self, order_id: OrderId, return_id: ReturnId, amount: int) -> Done | Impossible:
        """Give back a part of what was captured."""
        key = f"{order_id}:refund:{return_id}"
        return await self._change(
            "refund", f"/payments/{order_id}/refunds", key, {"refund_id": return_id, "amount": amount}
        )

    async def _change(self, operation: str, path: str, key: str, wanted: dict[str, Any]) -> Done | Impossible:
        code, body = await self._post(operation, path, key, wanted)
        return _done(path, code, body)

    async def _post(self, operation: str, path: str, key: str, wanted: dict[str, Any]) -> tuple[int, Body]:
        for pause in (*PAUSES, None):
            try:
                with (
                    provider_request(operation) as request,
                    tracing.calling("provider", operation, path) as span,
                ):
                    headers = span.carry({"Idempotency-Key": key})
                    answer = await self._client.post(path, json=wanted, headers=headers)
                    tracing.responded(span, answer.status_code)
                    if not answer.is_server_error:
                        body = bodies.decode(answer.content)
                        request.outcome = "answered"
                        return answer.status_code, body
                fault = f"status {answer.status_code}"
            except httpx.TimeoutException as error:
                raise Unavailable(f"the payment provider did not answer {path} in time") from error
            except httpx.TransportError as error:
                fault = repr(error)
            except msgspec.DecodeError as error:
                raise Unavailable(
                    f"the payment provider's answer to {path} is unreadable: {error}"
                ) from error
            if pause is None:
                break
            await asyncio.sleep(pause)
        raise Unavailable(f"the payment provider failed {len(PAUSES) + 1} times at {path}: {fault}")


def _done(path: str, code: int, body: Body) -> Done | Impossible:
    if code == HTTPStatus.OK:
        return Done()
    if code in {HTTPStatus.CONFLICT, HTTPStatus.NOT_FOUND}:
        return Impossible(body.reason)
    raise _unexpected(path, code, body)


def _unexpected(path: str, code: int, body: Body) -> Unavailable:
    return Unavailable(f"the payment provider answered {path} with status {code}: {body.reason}")
