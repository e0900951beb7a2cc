"""`replay switch`, `rollback` and `drop`: which version queries read, and which there are."""

from __future__ import annotations

from typing import Annotated

import typer

from gateway.cli.replay.arguments import Name, model_of
from gateway.cli.replay.connection import connected, out
from read_models.projection.versions import Versions
from read_models.replay.drop import drop as drop_version
from read_models.replay.switch import rollback as roll_back
from read_models.replay.switch import switch as switch_live


def switch(name: Name) -> None:
    """Let queries read the version that was built, at once and with nothing missing."""
    model = model_of(name)
    _tell(connected(lambda connection: switch_live(connection.mongo, model)))


def rollback(name: Name) -> None:
    """Let queries read the version again that was live before the last switch."""
    model = model_of(name)
    _tell(connected(lambda connection: roll_back(connection.mongo, model)))


def drop(
    name: Name,
    version: Annotated[
        str | None, typer.Argument(help="Such as orders@2. [default: the one that is not live]")
    ] = None,
    *,
    yes: Annotated[
        bool, typer.Option("--yes", help="Also if a rollback would need it.", show_default=False)
    ] = False,
) -> None:
    """Delete a version that queries do not read, with its checkpoints and dead letters."""
    model = model_of(name)
    dropped = connected(
        lambda connection: drop_version(connection.nats, connection.mongo, model, version, previous_too=yes)
    )
    out().print(f"{dropped} is deleted", highlight=False)


def _tell(versions: Versions) -> None:
    back = (
        f"; {versions.previous} is kept up to date for `replay rollback {versions.model}`"
        if versions.previous
        else ""
    )
    out().print(f"queries of {versions.model} read {versions.live}{back}", highlight=False, soft_wrap=True)
