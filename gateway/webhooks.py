"""/v1/webhooks: what the payment provider tells us by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import structlog
from litestar import Request, Router, post

from contexts.messages import OrderId
from contexts.payments.commands import CheckPayment
from gateway.http.guard import Access
from gateway.http.request import RequestContext, request_context
from gateway.http.response import Answer, encode
from gateway.http.route_contract import Contract
from gateway.problems import SIGNATURE_INVALID, UNAVAILABLE, Problem, refusal_problem
from infra.messages.commands import Envelope, RefusalKind, Refused
from infra.security.webhook_signature import SignatureInvalid, verify

ACTOR = "payment-provider"
SECONDS = 10

log = structlog.get_logger(__name__)


class PaymentConcerned(msgspec.Struct, frozen=True, kw_only=True):
    """Which payment it is about; what else the provider says of it is not read, it is asked instead."""

    order_id: OrderId


class PaymentNews(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a payment at the provider."""

    type: str
    data: PaymentConcerned


DECODER = msgspec.json.Decoder(PaymentNews)
WEBHOOK_ID = re.compile(r"[\x21-\x7e]{1,128}")

TYPES = frozenset(
    f"payment.{what}" for what in ("authorized", "declined", "captured", "voided", "refunded", "expired")
)
"""What may change how a payment stands; other types are no concern of ours."""


@post(
    "/payments",
    name="payment_webhook",
    opt={
        "contract": Contract(
            access=Access.SIGNED,
            summary="Hear from the payment provider",
            description="Needs no token but a signature by Standard Webhooks: the headers `webhook-id`, "
            "`webhook-timestamp` and `webhook-signature`; 401 if it is invalid or older than five minutes. "
            "The content is a hint: if it is about a payment of an order, the provider is asked for that "
            "payment's state. Any other signed content is answered 204, too, and changes nothing.",
            status=204,
            body=PaymentNews,
            any_body=True,
            problems=(SIGNATURE_INVALID, UNAVAILABLE),
            sends=(CheckPayment,),
        )
    },
)
async def payment_webhook(request: Request[Any, Any, Any]) -> Answer:
    """Have payments ask the provider how the payment stands."""
    incoming = request_context(request.scope)
    body = await incoming.body()
    webhook_id = genuine(incoming, body)
    outcome = await heard(incoming, webhook_id, body)
    incoming.services.metrics.webhook(outcome)
    if outcome is not Outcome.CHECKED:
        log.warning("webhook ignored", webhook=webhook_id, outcome=outcome)
    return Answer(204, [])


class Outcome(StrEnum):
    """What became of a webhook that the provider signed."""

    CHECKED = "checked"
    """The provider was asked how the payment stands."""
    UNREADABLE = "unreadable"
    UNKNOWN_TYPE = "unknown-type"
    UNKNOWN_PAYMENT = "unknown-payment"
    """No payment of that order was ever asked for."""
    REFUSED = "refused"


async def heard(incoming: RequestContext, webhook_id: str, body: bytes) -> Outcome:
    """Act on the hint; raises a Problem where sending it again may help."""
    try:
        news = DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Outcome.UNREADABLE
    if news.type not in TYPES:
        return Outcome.UNKNOWN_TYPE
    order_id = news.data.order_id
    structlog.contextvars.bind_contextvars(order_id=order_id)
    check = encode(CheckPayment(order_id=order_id))
    answer = await incoming.services.contexts.send(
        "payments", "CheckPayment", check, envelope_of(incoming, webhook_id)
    )
    match answer:
        case Refused() if answer.retryable:
            raise refusal_problem(answer)
        case Refused(kind=RefusalKind.UNKNOWN):
            return Outcome.UNKNOWN_PAYMENT
        case Refused():
            return Outcome.REFUSED
        case _:
            return Outcome.CHECKED


def genuine(incoming: RequestContext, body: bytes) -> str:
    """The webhook's id; raises a Problem if it is not from the provider."""
    key = incoming.services.webhook_key
    if key is None:
        raise Problem(UNAVAILABLE, "webhooks are not set up here (ORDERFOLD_WEBHOOK_SECRET)")
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in incoming.headers.items()}
    try:
        webhook_id = verify(key, headers, body)
    except SignatureInvalid as error:
        raise Problem(SIGNATURE_INVALID, str(error)) from error
    if WEBHOOK_ID.fullmatch(webhook_id) is None:
        raise Problem(SIGNATURE_INVALID, "the webhook's id is not 1 to 128 printable characters")
    return webhook_id


def envelope_of(incoming: RequestContext, webhook_id: str) -> Envelope:
    """A webhook that is sent again is the same command again."""
    now = datetime.now(UTC)
    identity = f"webhook:{webhook_id}"
    return Envelope(
        command_id=identity,
        correlation_id=incoming.correlation_id,
        causation_id=identity,
        actor=ACTOR,
        time=now,
        deadline=now + timedelta(seconds=SECONDS),
        traceparent=incoming.traceparent,
        tracestate=incoming.tracestate,
    )


webhooks = Router("/v1/webhooks", tags=["webhooks"], route_handlers=[payment_webhook])
