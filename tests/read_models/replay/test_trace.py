"""The causal tree of an order: requests, commands, events, the saga's steps and what they asked for."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
import pytest
from nats.aio.client import Client

from infra.messages.event_headers import Delivered
from infra.messages.events import Append, Metadata, NewEvent, StreamAppend
from read_models.queries.order_history import causal_order
from read_models.replay.order_trace import Cause, tree_of
from tests.conftest import Server
from tests.read_models.logs import Logs
from tests.support.deadlines import COMMAND_SECONDS

NOON = datetime(2025, 3, 1, 12, tzinfo=UTC)
ROOT = Path(__file__).parents[3]


def event(
    second: int, event_id: str, name: str, cause: str, actor: str = "fulfilment", data: bytes = b"{}"
) -> Delivered:
    stream, _, version = event_id.partition("@")
    correlation = "webhook-call" if cause.startswith("webhook:") else "basket-7"
    metadata = Metadata(
        time=NOON + timedelta(seconds=second), causation_id=cause, correlation_id=correlation, actor=actor
    )
    context = name.partition(".")[0]
    return Delivered(context, second + 1, 0, 1, stream, int(version), name, data, metadata)


def step(second: int, event_id: str, heard: str, cause: str, *commands: str) -> Delivered:
    data = {"heard": {"type": heard}, "commands": [{"type": name} for name in commands]}
    return event(second, event_id, "fulfilment.StepTaken", cause, data=msgspec.json.encode(data))


LIFE = [
    event(0, "order-42@1", "ordering.OrderPlaced", "cmd-1", "shop-1"),
    step(1, "fulfilment-42@1", "ordering.OrderPlaced", "order-42@1", "inventory.ReserveStock"),
    event(2, "reservation-42@1", "inventory.StockReserved", "fulfilment-42:inventory.ReserveStock"),
    step(3, "fulfilment-42@2", "inventory.StockReserved", "reservation-42@1", "payments.AuthorizePayment"),
    event(4, "payment-42@1", "payments.PaymentAuthorized", "webhook:w-1", "provider"),
    step(
        5,
        "fulfilment-42@3",
        "payments.PaymentAuthorized",
        "payment-42@1",
        "ordering.ConfirmOrder",
        "shipping.CreateShipment",
    ),
    event(6, "order-42@2", "ordering.OrderConfirmed", "fulfilment-42:ordering.ConfirmOrder"),
    event(7, "fulfilment-42@4", "fulfilment.CommandFailed", "fulfilment-42:shipping.CreateShipment"),
    event(8, "order-42@3", "ordering.OrderCancelled", "cmd-2", "ada"),
]
"""An order; its payment is authorised by a webhook while the saga's own attempt receives nothing."""


def shape(cause: Cause) -> Any:
    """A node's kind, name or id, and the same of what it led to."""
    return (cause.kind, cause.name or cause.id, [shape(effect) for effect in cause.led_to])


def test_everything_hangs_under_what_gave_rise_to_it() -> None:
    roots = tree_of(causal_order(LIFE[::-1]))
    reserve: Any = ("command", "inventory.ReserveStock", [
        ("event", "inventory.StockReserved", [
            ("event", "fulfilment.StepTaken", [("command", "payments.AuthorizePayment", [])]),
        ]),
    ])  # fmt: skip
    settle: Any = ("event", "fulfilment.StepTaken", [
        ("command", "ordering.ConfirmOrder", [("event", "ordering.OrderConfirmed", [])]),
        ("command", "shipping.CreateShipment", [("event", "fulfilment.CommandFailed", [])]),
    ])  # fmt: skip
    assert [shape(root) for root in roots] == [
        ("request", "basket-7", [("command", "cmd-1", [
            ("event", "ordering.OrderPlaced", [("event", "fulfilment.StepTaken", [reserve])]),
        ])]),
        ("webhook", "webhook-call", [("command", "webhook:w-1", [
            ("event", "payments.PaymentAuthorized", [settle]),
        ])]),
        ("request", "basket-7", [("command", "cmd-2", [("event", "ordering.OrderCancelled", [])])]),
    ]  # fmt: skip


def test_every_event_says_when_where_and_who() -> None:
    roots = tree_of(LIFE)
    command = roots[0].led_to[0]
    assert (command.id, command.actor, command.time) == ("cmd-1", "shop-1", NOON)
    placed = command.led_to[0]
    assert (placed.id, placed.position, placed.actor, placed.time) == (
        "order-42@1",
        "ordering:1",
        "shop-1",
        NOON,
    )
    answered = placed.led_to[0]
    assert answered.heard == "ordering.OrderPlaced"
    assert answered.led_to[0].id == "fulfilment-42:inventory.ReserveStock"


def test_a_step_that_cannot_be_read_hides_nothing_else() -> None:
    spoilt = [LIFE[0], msgspec.structs.replace(LIFE[1], data=b"{}"), *LIFE[2:]]
    assert count(tree_of(spoilt)) == len(LIFE)


def count(causes: list[Cause]) -> int:
    """The events of a tree."""
    return sum((cause.kind == "event") + count(cause.led_to) for cause in causes)


@pytest.fixture
async def lived(logs: Logs, connection: Client) -> None:
    """The same life in the contexts' stores."""
    await logs.open("ordering", "inventory", "payments", "shipping", "fulfilment")
    for one in LIFE:
        new = NewEvent(one.name, one.data)
        store = await logs._store(one.context)
        await store.append(Append(streams=(StreamAppend(one.stream, one.version - 1, (new,), one.metadata),)))


async def trace(nats: Server, mongo_url: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command, as an operator does."""
    environ = {
        "PATH": os.environ["PATH"],
        "ORDERFOLD_NATS_URL": nats.url,
        "ORDERFOLD_MONGO_URL": mongo_url,
        "COLUMNS": "200",
    }
    return await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "orderfold", "replay", "trace", *arguments],
        cwd=ROOT,
        env=environ,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )


async def test_the_command_prints_the_tree(nats: Server, mongo_url: str, lived: None) -> None:
    printed = await trace(nats, mongo_url, "42")
    assert printed.returncode == 0, printed.stderr
    lines = [line.lstrip("│├└─ ") for line in printed.stdout.splitlines()]
    assert lines[0] == "order 42"
    assert lines[1].startswith("HTTP request  basket-7  2025-03-01 12:00:00.000Z  shop-1")
    assert any(
        line.startswith("inventory.ReserveStock  fulfilment-42:inventory.ReserveStock") for line in lines
    )
    assert any("changed nothing" in line and "payments.AuthorizePayment" in line for line in lines)
    as_json = json.loads((await trace(nats, mongo_url, "42", "--json")).stdout)
    assert count(msgspec.convert(as_json["causes"], list[Cause])) == len(LIFE)


async def test_an_order_nobody_placed_is_a_line_and_status_2(
    nats: Server, mongo_url: str, lived: None
) -> None:
    printed = await trace(nats, mongo_url, "43")
    assert printed.returncode == 2
    assert printed.stderr == "orderfold: nothing has ever happened to an order '43'\n"
