"""`replay show`: a document as it was at a time or a position."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
import typer

from gateway.cli.replay.connection import Connection, connected, err, out
from read_models.projection.model import ReadModel
from read_models.queries.time_travel import Moment, MomentInvalid, Past, moment_of, past_document
from read_models.registry import MODELS
from read_models.replay.errors import ReplayFailed


def show(
    model: Annotated[str, typer.Argument(help=f"Read model: {', '.join(MODELS)}.", show_default=False)],
    key: Annotated[str, typer.Argument(help="Key of the document, such as an order's id.")],
    *,
    as_of: Annotated[
        str | None,
        typer.Option(
            metavar="TIME|POSITION",
            help="A time with its offset, or positions such as ordering:42,payments:17. [default: now]",
        ),
    ] = None,
) -> None:
    """Print a document as it was, folded from the stores' events up to then."""
    asked = MODELS.get(model)
    if asked is None:
        raise ReplayFailed(f"unknown read model {model!r}; choose one of {', '.join(MODELS)}")
    past = connected(lambda connection: _past(connection, asked, key, as_of))
    if past.parked is not None:
        reason = past.parked.error or "an event before it could not be applied"
        err().print(f"{past.parked.event.event_id} and what follows could not be applied: {reason}")
    if past.document is None:
        raise ReplayFailed(f"{model} had no document {key!r} {f'at {as_of}' if as_of else 'so far'}")
    fields = msgspec.to_builtins(past.document)
    out().print_json(data={name: value for name, value in fields.items() if name not in asked.private})


async def _past(connection: Connection, model: ReadModel[Any], key: str, as_of: str | None) -> Past[Any]:
    try:
        moment = Moment(datetime.now(UTC)) if as_of is None else await moment_of(connection.log, as_of)
        return await past_document(connection.mongo, connection.log, model, key, moment)
    except MomentInvalid as error:
        raise ReplayFailed(f"--as-of: {error}") from None
