"""A read model as a command's argument."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from read_models.projection.model import ReadModel
from read_models.registry import MODELS
from read_models.replay.errors import ReplayFailed

Name = Annotated[str, typer.Argument(help=f"Read model: {', '.join(MODELS)}.", show_default=False)]


def model_named(name: str) -> ReadModel[Any]:
    """The read model; raises ReplayFailed."""
    if name not in MODELS:
        raise ReplayFailed(f"{name!r} is no read model; there are {', '.join(MODELS)}")
    return MODELS[name]
