"""Routes that pass a command on to its context: decode, complete, send, answer after the commit."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import structlog
from litestar import Request, post
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, UnsetType

from contexts.messages import Command, Time, wire_name
from gateway.http.bodies import decoded
from gateway.http.conditions import expected_of
from gateway.http.guard import Access
from gateway.http.headers import DEFAULT_WAIT, idempotency_key_of, tokens_of, wait_of
from gateway.http.ownership import Customers
from gateway.http.request import RequestContext, request_context
from gateway.http.response import JSON, Answer, Header, encode, version_tag
from gateway.http.route_contract import Contract
from gateway.http.values import TimeText, check_of, time_of
from gateway.ids import command_id, derived_id, new_id
from gateway.problems import NOT_FOUND, REJECTED, Kind, refusal_problem
from infra.messages.commands import Accepted, Envelope, Refused, Token

COMMAND_SECONDS = 5
"""How long a command may take when the client does not say how long it waits."""

Check = Callable[[RequestContext, Any], Awaitable[None] | None]
"""Raises a Problem when the caller may not send this command."""


def command_route(
    path: str,
    message: type[Command],
    *,
    access: Access,
    id_field: str,
    location: str | None = None,
    generated_fields: Sequence[str] = (),
    check: Check | None = None,
    customers: Customers = Customers.NONE,
    owner_field: str | None = None,
    refusals: Sequence[Kind] | None = None,
    summary: str,
) -> HTTPRouteHandler:
    """A route for one kind of command.

    `id_field` names the aggregate: it is in the path, else in the body. `location` is the path of what the
    command creates. `generated_fields` may be left out of the body; they are then derived from the
    idempotency key, or random. `owner_field` holds the customer who asks, if one does: the context refuses
    what belongs to another. All other fields are the body. `refusals` are the problems the context may answer
    with, unless those are the usual ones.
    """
    context, _, name = wire_name(message).partition(".")
    in_path = f"{{{id_field}:str}}" in path
    left_out = ((id_field,) if in_path else ()) + (() if owner_field is None else (owner_field,))
    shape = body_shape(message, name, left_out=left_out, optional=generated_fields)
    fields = tuple(field.name for field in msgspec.structs.fields(shape))
    needs_body = any(field.required for field in msgspec.structs.fields(shape))
    decoder = msgspec.json.Decoder(shape)
    check_values = check_of(shape)
    times = tuple(field.name for field in msgspec.structs.fields(message) if is_time(field.type))
    shown = tuple(dict.fromkeys((id_field, *generated_fields)))
    status = 200 if location is None else 201
    usual = (REJECTED, NOT_FOUND) if location is None else (REJECTED,)
    problems = usual if refusals is None else refusals
    contract = Contract(
        access=access,
        customers=customers,
        summary=summary,
        description=description(message, shown, generated_fields, status, problems),
        status=status,
        body=shape,
        answer=answer_shape(name, shown),
        problems=problems,
        is_command=True,
        sends=(message,),
        waits=True,
        tagged=True,
        located=location is not None,
    )

    async def send(request: Request[Any, Any, Any]) -> Answer:
        incoming = request_context(request.scope)
        body = await incoming.json()
        given = decoded(decoder, body if body or needs_body else b"{}")
        if check_values is not None:
            check_values(given, "")
        values = {field: getattr(given, field) for field in fields}
        for field in times:
            if values[field] is not None:
                values[field] = time_of(values[field], field)
        if in_path:
            values[id_field] = incoming.key(id_field)
        if owner_field is not None:
            values[owner_field] = incoming.caller.customer_id
        envelope = envelope_of(incoming)
        for field in generated_fields:
            if values[field] is UNSET:
                values[field] = named(incoming, envelope, field)
        command = message(**values)
        structlog.contextvars.bind_contextvars(order_id=values.get("order_id"))
        if check is not None and (checking := check(incoming, command)) is not None:
            await checking
        accepted = await carried_out(incoming, context, name, encode(command), envelope)
        created = None if location is None else location.format(values[id_field])
        return command_answer({key: values[key] for key in shown}, context, accepted, status, created)

    send.__name__ = name
    return post(path, status_code=status, opt={"contract": contract}, name=name)(send)


def body_shape(
    message: type[Command], name: str, *, left_out: Sequence[str], optional: Sequence[str]
) -> type[msgspec.Struct]:
    """The command without its wire name: what a client sends. Unknown fields are refused."""
    fields: list[tuple[str, Any] | tuple[str, Any, Any]] = []
    for field in msgspec.structs.fields(message):
        if field.name in left_out:
            continue
        kind = field.type if not is_time(field.type) else TimeText if field.required else TimeText | None
        if field.name in optional:
            fields.append((field.name, kind | UnsetType, UNSET))
        elif field.required:
            fields.append((field.name, kind))
        else:
            fields.append((field.name, kind, field.default))
    return msgspec.defstruct(name, fields, kw_only=True, frozen=True, forbid_unknown_fields=True)


def description(
    message: type[Command], shown: Sequence[str], new: Sequence[str], status: int, problems: Sequence[Kind]
) -> str:
    """What the command says of itself, and what every command's answer has."""
    about = inspect.cleandoc(vars(message).get("__doc__") or "")
    optional = "".join(
        f"`{field}` may be left out: it is then derived from the `Idempotency-Key`, or random. "
        for field in new
    )
    ids = ", ".join(f"`{field}`" for field in shown)
    answered = (
        f"Returns {status} after the events are stored: {ids}, the `version`, and the consistency token as "
        "`position`. A command that changes nothing is answered in the same way."
    )
    unknown = f" Returns 404 if the `{shown[0]}` is unknown." if NOT_FOUND in problems else ""
    return "\n\n".join(filter(None, (about, f"{optional}{answered}{unknown}")))


def answer_shape(name: str, shown: Sequence[str]) -> type[msgspec.Struct]:
    """What a client is told about a command that was carried out."""
    return msgspec.defstruct(
        f"{name}Answer", [*((field, str) for field in shown), ("version", int), ("position", str)]
    )


def is_time(kind: Any) -> bool:
    """Whether a field is a time, or none."""
    return kind in {Time, Time | None}


def envelope_of(incoming: RequestContext) -> Envelope:
    """What goes with the command: id, sender, deadline, and what it wants to come after."""
    key = idempotency_key_of(incoming)
    subject = incoming.caller.subject
    identity = new_id() if key is None else command_id(subject, key)
    expected = expected_of(incoming)
    after = tokens_of(incoming)
    wait = wait_of(incoming)
    # With tokens the context spends this time waiting for what they name, and needs a second for the rest.
    seconds = max(1, DEFAULT_WAIT if wait is None else wait) if after else max(COMMAND_SECONDS, wait or 0)
    now = datetime.now(UTC)
    return Envelope(
        command_id=identity,
        correlation_id=incoming.correlation_id,
        causation_id=identity,
        actor=incoming.caller.actor,
        time=now,
        deadline=now + timedelta(seconds=seconds),
        traceparent=incoming.traceparent,
        tracestate=incoming.tracestate,
        expected_versions=expected.versions,
        must_exist=expected.must_exist,
        after=after,
    )


def named(incoming: RequestContext, envelope: Envelope, field: str) -> str:
    """A generated id: the same again when the client sends the same idempotency key again."""
    if b"idempotency-key" in incoming.headers:
        return derived_id(envelope.command_id, field)
    return new_id()


async def carried_out(
    incoming: RequestContext, context: str, name: str, body: bytes, envelope: Envelope
) -> Accepted:
    """Send a command; raises a Problem if it was refused."""
    answer = await incoming.services.contexts.send(context, name, body, envelope)
    if isinstance(answer, Refused):
        raise refusal_problem(answer)
    return answer


def command_answer(
    shown: dict[str, Any], context: str, accepted: Accepted, status: int, location: str | None
) -> Answer:
    """The answer to a command: ids, version, and the consistency token."""
    token = str(Token(context, accepted.position, accepted.partition))
    headers: list[Header] = [
        JSON,
        (b"consistency-token", token.encode()),
        (b"etag", version_tag(accepted.version).encode()),
    ]
    if location is not None:
        headers.append((b"location", location.encode()))
    return Answer(status, headers, encode({**shown, "version": accepted.version, "position": token}))
