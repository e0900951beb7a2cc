"""/v1/webhooks: what the payment provider tells us by itself."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
import structlog
from litestar import Request, Router, post
from msgspec import Meta

from contexts.messages import Currency, OrderId, Price
from contexts.payments.commands import AuthorizePayment, PaymentMethod
from gateway.access import Access
from gateway.answers import Answer, encode
from gateway.commands import decoded
from gateway.contracts import Contract
from gateway.incoming import Incoming, incoming_of
from gateway.problems import SIGNATURE_INVALID, UNAVAILABLE, Problem, refusal_problem
from infra.commands import Envelope, Refused
from infra.webhook_signature import SignatureInvalid, verify

ACTOR = "payment-provider"
SECONDS = 10


class PaymentConcerned(msgspec.Struct, frozen=True, kw_only=True):
    """Which payment it is about; fields that are not known here are ignored, the provider may add some."""

    order_id: OrderId
    amount: Price
    currency: Currency
    payment_method: PaymentMethod


class PaymentNews(msgspec.Struct, frozen=True, kw_only=True):
    """Something happened to a payment at the provider."""

    type: str
    timestamp: Annotated[datetime, Meta(extra_json_schema={"format": "date-time"})]
    data: PaymentConcerned


DECODER = msgspec.json.Decoder(PaymentNews)
WEBHOOK_ID = re.compile(r"[\x21-\x7e]{1,128}")


@post(
    "/payments",
    name="payment_webhook",
    opt={
        "contract": Contract(
            access=Access.SIGNED,
            summary="Hear from the payment provider",
            description="Signed as Standard Webhooks has it; what it says is a hint to ask the provider.",
            status=204,
            body=PaymentNews,
            problems=(SIGNATURE_INVALID, UNAVAILABLE),
        )
    },
)
async def payment_webhook(request: Request[Any, Any, Any]) -> Answer:
    """Have payments ask the provider again."""
    incoming = incoming_of(request.scope)
    body = await incoming.json()
    webhook_id = genuine(incoming, body)
    payment = decoded(DECODER, body).data
    structlog.contextvars.bind_contextvars(order_id=payment.order_id)
    order = AuthorizePayment(
        order_id=payment.order_id,
        amount=payment.amount,
        currency=payment.currency,
        payment_method=payment.payment_method,
    )
    answer = await incoming.services.contexts.send(
        "payments", "AuthorizePayment", encode(order), envelope_of(incoming, webhook_id)
    )
    # A refusal is an answer, too: only what may yet succeed is worth the provider's sending it again.
    if isinstance(answer, Refused) and answer.retryable:
        raise refusal_problem(answer)
    return Answer(204, [])


def genuine(incoming: Incoming, body: bytes) -> str:
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


def envelope_of(incoming: Incoming, webhook_id: str) -> Envelope:
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
    )


webhooks = Router("/v1/webhooks", tags=["webhooks"], route_handlers=[payment_webhook])
