"""Read models as an operator names them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from read_models.projection.model import ReadModel
from read_models.registry import MODELS
from read_models.replay.errors import ReplayFailed

Name = Annotated[str, typer.Argument(metavar="MODEL", help=f"One of {', '.join(MODELS)}.")]
Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="MODEL…", help=f"Some of {', '.join(MODELS)}.", show_default=False),
]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


def model_of(name: str) -> ReadModel[Any]:
    """A read model by its name; raises ReplayFailed."""
    if name not in MODELS:
        raise ReplayFailed(f"unknown read model {name!r}; choose one of {', '.join(MODELS)}")
    return MODELS[name]


def models_of(names: Sequence[str] | None, *, every: bool) -> list[ReadModel[Any]]:
    """The read models that are named, or all; raises ReplayFailed."""
    if every == bool(names):
        raise ReplayFailed(f"name read models ({', '.join(MODELS)}), or say --all")
    return list(MODELS.values()) if every else [model_of(name) for name in dict.fromkeys(names or ())]
