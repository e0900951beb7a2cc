"""`replay trace`: what led to what about one order, as a tree."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
import typer
from rich.text import Text
from rich.tree import Tree

from gateway.cli.replay.connection import Connection, connected, out
from infra.messages.event_headers import Delivered
from read_models.queries.order_history import events_of_order
from read_models.replay.errors import ReplayFailed
from read_models.replay.order_trace import Cause, tree_of

ORIGIN = {"request": "HTTP request", "webhook": "Webhook"}


def trace(
    order_id: Annotated[str, typer.Argument(help="The order.")],
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Print an order's causal tree: request, command, events, the saga's steps, their commands, and so on."""

    async def events(connection: Connection) -> list[Delivered]:
        return await events_of_order(connection.log, order_id)

    roots = tree_of(connected(events))
    if not roots:
        raise ReplayFailed(f"nothing has ever happened to an order {order_id!r}")
    if as_json:
        out().print_json(data={"order_id": order_id, "causes": msgspec.to_builtins(roots)})
        return
    tree = Tree(f"order {order_id}")
    for root in roots:
        _grow(tree, root)
    out().print(tree)


def _grow(tree: Tree, cause: Cause) -> None:
    branch = tree.add(_label(cause))
    for effect in cause.led_to:
        _grow(branch, effect)


def _label(cause: Cause) -> Text:
    match cause.kind:
        case "event":
            label = Text(cause.name, style="bold green")
            label.append(f"  {cause.id}  {cause.position}", style="not bold default")
        case "command":
            label = Text(cause.name or "command", style="cyan")
            label.append(f"  {cause.id}", style="default")
        case origin:
            label = Text(ORIGIN[origin], style="bold yellow")
            label.append(f"  {cause.id}", style="not bold default")
    if cause.heard:
        label.append(f"  answers {cause.heard}", style="not bold default")
    if cause.time is not None:
        label.append(f"  {_shown(cause.time)}  {cause.actor}", style="not bold dim")
    elif cause.kind == "command" and not cause.led_to:
        label.append("  (changed nothing, or is under way)", style="not bold dim")
    return label


def _shown(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(sep=" ", timespec="milliseconds").removesuffix("+00:00") + "Z"
