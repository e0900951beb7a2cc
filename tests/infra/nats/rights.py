"""What each NATS user may do: as the configuration says, and as the code needs it."""

from __future__ import annotations

import ast
import functools
import importlib
import pkgutil
import re
import tempfile
import typing
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import contexts as contexts_package
import gateway as gateway_package
import gateway.cli as cli_package
import read_models as read_models_package
from contexts import NAMES
from contexts.__main__ import load_context
from contexts.fulfilment.events import Step
from contexts.messages import Command, wire_name
from contexts.payments.commands import CheckPayment
from gateway.rate_limits.replication import SUBJECT as EXCHANGED
from infra.deploy.nats_keys import CONFIGURATION, SUFFIX
from infra.runtime.context import Context
from infra.settings import Settings
from infra.vault.master_keys import new_master_keys, write_master_keys
from read_models.registry import MODELS


@dataclass
class Rights:
    """The subjects one user may subscribe to and publish to."""

    subscribe: set[str] = field(default_factory=set)
    publish: set[str] = field(default_factory=set)
    deny: set[str] = field(default_factory=set)
    answers: bool = False
    """Whether it may answer whoever asked it."""


@functools.cache
def contexts() -> dict[str, Context]:
    """Every context by its name."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(data=Path(folder))
        write_master_keys(settings.data / "keys" / "master-keys", new_master_keys())
        return {name: load_context(name, settings) for name in NAMES}


def commands() -> dict[str, type[Command]]:
    """Every command there is, by its wire name."""
    return {
        wire_name(kind): kind
        for context in contexts().values()
        for kind in typing.get_args(context.commands) or (context.commands,)
    }


def needed() -> dict[str, Rights]:
    """What the code of each process does on NATS."""
    found = {name: of_context(context) for name, context in contexts().items()}
    every = list(found)
    readers = {inbox(name) for name, context in contexts().items() if context.hears}
    heard = sorted({context for model in MODELS.values() for context in model.contexts})
    found["read_models"] = Rights(
        subscribe={"_INBOX_read_models.>", *(f"head.{context}" for context in heard)},
        publish={
            *(subject for context in heard for subject in reading(context, "*")),
            *(f"svc.{context}.behind" for context in heard),
            *asked_for_by(read_models_package),
        },
        deny=taken_out(readers),
    )
    found["gateway"] = Rights(
        subscribe={"_INBOX_gateway.>", EXCHANGED},
        publish={
            *(f"cmd.{name}" for name in sent_by_gateway()),
            *(f"svc.{context}.{what}" for context in every for what in ("log", "behind")),
            *asked_for_by(gateway_package),
            EXCHANGED,
        },
    )
    found["operator"] = Rights(
        subscribe={"_INBOX_operator.>", *(f"head.{context}" for context in every)},
        publish={
            subject
            for context in every
            for subject in (
                *reading(context, "*"),
                f"svc.{context}.behind",
                f"svc.{context}.relay",
                f"svc.{context}.dead-letters",
                f"$JS.API.STREAM.DELETE.EV_{context}",
                f"$JS.API.CONSUMER.NAMES.EV_{context}",
            )
        }
        | asked_for_by(cli_package),
        deny=taken_out(readers),
    )
    return found


def of_context(context: Context) -> Rights:
    """Serve commands and log, publish events, hear other contexts."""
    name = context.name
    rights = Rights(
        subscribe={
            f"_INBOX_{name}.>",
            f"cmd.{name}.* {name}",
            f"svc.{name}.log svc-{name}",
            f"svc.{name}.behind svc-{name}",
            f"svc.{name}.dead-letters svc-{name}",
            f"svc.{name}.relay",
            *(f"svc.{name}.{question} svc-{name}" for question in questions(name).values()),
            *(f"head.{other}" for other in context.hears),
        },
        publish={
            f"ev.{name}.>",
            f"head.{name}",
            *(f"$JS.API.STREAM.{what}.EV_{name}" for what in ("INFO", "CREATE", "MSG.GET")),
            *(subject for other in context.hears for subject in reading(other, inbox(name))),
        },
        answers=True,
    )
    if name == "fulfilment":
        rights.publish |= {f"cmd.{wire_name(kind)}" for kind in typing.get_args(Step)}
    if name == "payments":
        rights.publish |= {f"cmd.{wire_name(CheckPayment)}"}
    if sets_timers(name):
        rights.publish |= timing(name)
    return rights


def inbox(context: str) -> str:
    """The durable a context reads others by."""
    return f"{context}-inbox"


def reading(context: str, durable: str) -> set[str]:
    """What reading a context's log by a durable takes."""
    stream = f"EV_{context}"
    return {
        f"svc.{context}.log",
        f"$JS.API.STREAM.INFO.{stream}",
        f"$JS.API.STREAM.MSG.GET.{stream}",
        f"$JS.API.CONSUMER.*.{stream}.{durable}",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}",
        f"$JS.ACK.{stream}.{durable}.>",
    }


def timing(context: str) -> set[str]:
    """What timers take."""
    stream = f"TIMERS_{context}"
    return {
        f"timer.{context}.*",
        *(f"$JS.API.STREAM.{what}.{stream}" for what in ("INFO", "CREATE", "DELETE", "PURGE")),
        f"$JS.API.CONSUMER.*.{stream}.alarm",
        f"$JS.API.CONSUMER.MSG.NEXT.{stream}.alarm",
        f"$JS.ACK.{stream}.alarm.>",
    }


def taken_out(durables: set[str]) -> set[str]:
    """What keeps a user that may name its durables as it likes away from those of others."""
    return {
        subject
        for durable in durables
        for subject in (
            f"$JS.API.CONSUMER.*.*.{durable}",
            f"$JS.API.CONSUMER.MSG.NEXT.*.{durable}",
            f"$JS.ACK.*.{durable}.>",
        )
    }


def sets_timers(context: str) -> bool:
    """Whether a context's code imports timers."""
    package = importlib.import_module(f"{contexts_package.__name__}.{context}")
    return any("infra.runtime.timers" in source(module) for module in modules(package))


def questions(context: str) -> dict[str, str]:
    """What else a context answers: each by the module that says `QUESTION = …` and asks it."""
    package = importlib.import_module(f"{contexts_package.__name__}.{context}")
    return {
        module.__name__: str(vars(module)["QUESTION"])
        for module in modules(package)
        if re.search(r"^QUESTION = ", source(module), re.MULTILINE)
    }


def asked_for_by(package: ModuleType) -> set[str]:
    """The questions whose modules a package imports."""
    code = "".join(source(module) for module in modules(package))
    return {
        f"svc.{name}.{question}"
        for name in NAMES
        for module, question in questions(name).items()
        if module in code
    }


def sent_by_gateway() -> set[str]:
    """The commands in the gateway's code: `command(path, Kind, …)` and `….send("context", "Name", …)`."""
    found = set()
    for module in modules(gateway_package):
        for call in ast.walk(ast.parse(source(module))):
            match call:
                case ast.Call(func=ast.Name(id="command"), args=[_, ast.Name(id=kind), *_]):
                    found.add(wire_name(vars(module)[kind]))
                case ast.Call(
                    func=ast.Attribute(attr="send"),
                    args=[ast.Constant(value=str(context)), ast.Constant(value=str(name)), *_],
                ):
                    found.add(f"{context}.{name}")
    return found


def modules(package: ModuleType) -> Iterator[ModuleType]:
    """A package's modules."""
    for found in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if not found.ispkg and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def source(module: ModuleType) -> str:
    assert module.__file__ is not None
    with open(module.__file__, encoding="utf-8") as file:  # noqa: PTH123 - a module's file is a string
        return file.read()


def configured() -> dict[str, Rights]:
    """What the configuration lets each user do."""
    app = parsed(CONFIGURATION.read_text())["accounts"]["APP"]
    return {_name(user): _rights(user["permissions"]) for user in app["users"]}


def _name(user: dict[str, Any]) -> str:
    return str(user["nkey"]).removeprefix("$").removesuffix(SUFFIX).lower()


def _rights(permissions: dict[str, Any]) -> Rights:
    subscribe, publish = permissions.pop("subscribe"), permissions.pop("publish")
    rights = Rights(
        set(subscribe.pop("allow")),
        set(publish.pop("allow")),
        set(publish.pop("deny", ())),
        answers=permissions.pop("allow_responses", "false") == "true",
    )
    unread = {**subscribe, **publish, **permissions}
    assert not unread, f"the configuration says more than this test reads: {unread}"
    return rights


_TOKEN = re.compile(r'\s*(?:#[^\n]*|(?P<text>"[^"]*")|(?P<sign>[{}\[\]:,])|(?P<word>[^\s{}\[\]:,"#]+))')


def parsed(text: str) -> dict[str, Any]:
    """The part of NATS' configuration language that the file uses: maps, lists, words and texts."""
    tokens = [match for match in _TOKEN.finditer(text) if match.lastgroup]
    words = iter([match[match.lastgroup or 0].strip('"') for match in tokens if match[0].strip() != ","])
    return _map(words)


def _map(words: Iterator[str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key in words:
        if key == "}":
            break
        word = next(words)
        found[key] = _value(next(words) if word == ":" else word, words)
    return found


def _value(word: str, words: Iterator[str]) -> Any:
    if word == "{":
        return _map(words)
    if word != "[":
        return word
    found = []
    for item in words:
        if item == "]":
            break
        found.append(_value(item, words))
    return found
