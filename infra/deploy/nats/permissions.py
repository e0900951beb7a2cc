"""What each NATS user may publish and subscribe to: what its process does there, and nothing else."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec
from litestar.routes import HTTPRoute

from contexts import NAMES
from contexts.__main__ import load_context
from contexts.messages import wire_name
from gateway import context_client
from gateway.app import ROUTES
from gateway.cli import verify
from gateway.rate_limits.replication import SUBJECT as LIMITS
from infra.event_log.relay_control import relay_subject
from infra.messages.command_headers import command_subject
from infra.nats.connection import inbox_prefix
from infra.nats.jetstream import stream_name
from infra.nats.request_reply import request_subject
from infra.runtime.context import Context
from infra.runtime.dead_letters.messages import REQUEST as DEAD_LETTERS
from infra.runtime.timers import DURABLE as ALARM
from infra.settings import Settings
from infra.vault.master_keys import new_master_keys, write_master_keys
from read_models.registry import MODELS

LOG, BEHIND = "log", "behind"
"""The requests that every context answers about its log."""

Subjects = Mapping[str, Sequence[str]]
"""Subjects, by what they are for."""


@dataclass(frozen=True, kw_only=True)
class User:
    """A user of nats-server; `why` says what it does there.

    "SUBJECT QUEUE" permits a subscription in that queue group only. `answers` permits replies to requests.
    """

    name: str
    why: str
    subscribe: Sequence[str]
    publish: Subjects
    deny: Subjects = field(default_factory=dict)
    answers: bool = False


def users() -> tuple[User, ...]:
    """Every user: the contexts, the read models, the gateway, and who runs `orderfold`."""
    contexts = load_contexts()
    return (
        *map(context_user, contexts),
        read_models_user(contexts),
        gateway_user(contexts),
        operator_user(contexts),
    )


def load_contexts() -> tuple[Context, ...]:
    """Every context; nothing is connected or opened."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        # customers is not made without keys.
        write_master_keys(settings.data / "keys" / "master-keys", new_master_keys())
        return tuple(load_context(name, settings) for name in NAMES)


def context_user(context: Context) -> User:
    """Serves its commands, its log and its requests; reads the logs it receives by a durable of its own."""
    name, receives = context.name, sorted(context.receives)
    stream = stream_name(name)
    return User(
        name=name,
        why="serves its commands and its log" + (f"; receives {', '.join(receives)}" if receives else ""),
        subscribe=(
            inbox(name),
            f"{command_subject(name, '*')} {name}",
            *(
                f"{request_subject(name, request)} svc-{name}"
                for request in (LOG, BEHIND, DEAD_LETTERS, *sorted(context.requests))
            ),
            # Without a queue group: the process that has the relay is the one to answer.
            relay_subject(name),
            *map(head, receives),
        ),
        publish={
            "its own log": (
                f"ev.{name}.>",
                head(name),
                *(f"$JS.API.STREAM.{what}.{stream}" for what in ("INFO", "CREATE", "MSG.GET")),
            ),
            **{f"what it receives of {other}": reading(other, own_durable(name)) for other in receives},
            "the commands it sends": command_subjects(context.sends),
            "its timers": timing(name) if context.sets_timers else (),
        },
        answers=True,
    )


def read_models_user(contexts: Iterable[Context]) -> User:
    """Reads the logs that the read models are made of, each projector by a durable of its own.

    Versions and partitions are in the durables' names (rm-orders_v2-0_to_7), so they cannot be listed; those
    of contexts are taken out.
    """
    of_models = {name for model in MODELS.values() for name in model.contexts}
    read = [context.name for context in contexts if context.name in of_models]
    return User(
        name="read_models",
        why="reads every log, by any durable but those of contexts",
        subscribe=(inbox("read_models"), *map(head, read)),
        publish={name: (*reading(name, "*"), request_subject(name, BEHIND)) for name in read},
        deny=durables_of(contexts),
    )


def gateway_user(contexts: Iterable[Context]) -> User:
    """Sends the commands that its routes offer, and asks contexts for their logs."""
    routes = [route for router in ROUTES for route in router.routes if isinstance(route, HTTPRoute)]
    handlers = [handler for route in routes for handler in route.route_handlers]
    contracts = [handler.opt["contract"] for handler in handlers if "contract" in handler.opt]
    return User(
        name="gateway",
        why="sends the commands its routes offer, and asks contexts for their logs",
        subscribe=(inbox("gateway"), LIMITS),
        publish={
            "the commands of its routes": command_subjects(
                kind for contract in contracts for kind in contract.sends
            ),
            "what clients have asked of it, for the other gateways": (LIMITS,),
            "the contexts' logs, and how far the read models are behind them": tuple(
                request_subject(context.name, request) for context in contexts for request in (LOG, BEHIND)
            ),
            "what else it asks": requests(context_client.ASKS),
        },
    )


def operator_user(contexts: Iterable[Context]) -> User:
    """Does what the `orderfold` command does: replays, retries parked events, has a log published anew."""
    names = [context.name for context in contexts]
    return User(
        name="operator",
        why="the `orderfold` command: verify, replay, publish a log again",
        subscribe=(inbox("operator"),),
        publish={
            **{
                name: (
                    *looking(name),
                    request_subject(name, BEHIND),
                    request_subject(name, DEAD_LETTERS),
                    relay_subject(name),
                    f"$JS.API.STREAM.DELETE.{stream_name(name)}",
                    f"$JS.API.CONSUMER.NAMES.{stream_name(name)}",
                    f"$JS.API.CONSUMER.DELETE.{stream_name(name)}.*",
                )
                for name in names
            },
            "what else it asks": requests(verify.ASKS),
        },
        deny=durables_of(contexts),
    )


def inbox(user: str) -> str:
    """Where a user's replies and pulled messages come."""
    return f"{inbox_prefix(user)}.>"


def head(context: str) -> str:
    """Where a context announces how far its log goes."""
    return f"head.{context}"


def own_durable(context: str) -> str:
    """The durable a context reads other contexts' logs by."""
    return f"{context}-inbox"


def reading(context: str, durable: str) -> tuple[str, ...]:
    """What reading a context's log by a durable takes."""
    return (*looking(context), *consuming(stream_name(context), durable))


def looking(context: str) -> tuple[str, ...]:
    """What looking into a context's log and stream takes."""
    stream = stream_name(context)
    return (
        request_subject(context, LOG),
        *(f"$JS.API.STREAM.{what}.{stream}" for what in ("INFO", "MSG.GET")),
    )


def consuming(stream: str, durable: str) -> tuple[str, ...]:
    """What making and using a durable takes."""
    return (
        f"$JS.API.CONSUMER.*.{stream}.{durable}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
    )


def timing(context: str) -> tuple[str, ...]:
    """What timers take: setting, cancelling, recreating the timer stream, and receiving what is due."""
    stream = f"TIMERS_{context}"
    return (
        f"timer.{context}.*",
        *(f"$JS.API.STREAM.{what}.{stream}" for what in ("INFO", "CREATE", "DELETE", "PURGE")),
        *consuming(stream, ALARM),
    )


def durables_of(contexts: Iterable[Context]) -> Subjects:
    """What keeps a user that names its durables as it likes away from those of contexts, in every stream."""
    return {
        f"what {context.name} reads by": consuming("*", own_durable(context.name))
        for context in contexts
        if context.receives
    }


def command_subjects(kinds: Iterable[type[msgspec.Struct]]) -> tuple[str, ...]:
    """Where commands are sent, in alphabetical order."""
    names = sorted({wire_name(kind) for kind in kinds})
    return tuple(command_subject(*name.split(".", 1)) for name in names)


def requests(asked: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """Where requests to contexts are put."""
    return tuple(request_subject(context, name) for context, name in asked)
