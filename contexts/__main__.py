"""`python -m contexts [NAME…]`: run bounded contexts, all of them by default."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Annotated

import typer
import uvloop

from contexts import NAMES
from contexts.messages import Rejected, Unknown
from infra.event_log.context_subscription import LogDiffers
from infra.event_log.published import StoreRestored
from infra.event_log.relay import RelayStopped
from infra.event_store.errors import RESTORE_REMEDY
from infra.event_store.store import StoreUnavailable
from infra.messages.commands import RefusalKind
from infra.nats.connection import NatsUnavailable
from infra.observability import tracing
from infra.observability.logging.setup import configure_logging, last_word, logged
from infra.runtime.context import Context, StartRefused
from infra.runtime.process import LeadLost, run_contexts
from infra.settings import Settings, SettingsInvalid, load_settings
from infra.sockets import PortTaken

REFUSALS: dict[type[Exception], RefusalKind] = {Unknown: RefusalKind.UNKNOWN, Rejected: RefusalKind.REJECTED}


STOPS = (
    SettingsInvalid,
    PortTaken,
    StoreUnavailable,
    NatsUnavailable,
    RelayStopped,
    StoreRestored,
    StartRefused,
    LogDiffers,
    LeadLost,
)
"""What ends the process with one line: an operator, or whoever restarts it, has to do something."""


def load_context(name: str, settings: Settings) -> Context:
    """A context by its name, from its own service module."""
    made: Context = importlib.import_module(f"contexts.{name}.service").context(settings)
    return made


def run(
    names: Annotated[list[str] | None, typer.Argument(help=f"Contexts to run: {', '.join(NAMES)}.")] = None,
) -> None:
    """Run bounded contexts until Ctrl-C or SIGTERM: each serves its commands and publishes its events.

    Where the stores, NATS and the payment provider are comes from ORDERFOLD_* environment variables
    (`orderfold doctor --settings` lists them).
    """
    chosen = tuple(names or NAMES)
    for name in chosen:
        if name not in NAMES:
            fail(f"unknown context {name!r}; choose one of {', '.join(NAMES)}")
    try:
        settings = load_settings()
        # A context that runs alone is a service with a name, and a NATS user, of its own.
        service = chosen[0] if len(chosen) == 1 else "contexts"
        configure_logging(
            service, level=settings.log_level, json=settings.log_json, endpoint=settings.log_endpoint
        )
        contexts = [load_context(name, settings) for name in chosen]
        with tracing.exporting(service, settings):
            uvloop.run(logged(run_contexts(contexts, settings, REFUSALS, service)))
    except* STOPS as errors:
        fail(told(leaves(errors)))


def leaves(errors: BaseExceptionGroup[BaseException]) -> list[BaseException]:
    """The exceptions in nested groups."""
    found: list[BaseException] = []
    for error in errors.exceptions:
        found += leaves(error) if isinstance(error, BaseExceptionGroup) else [error]
    return found


def told(errors: Sequence[BaseException]) -> str:
    """What went wrong, in one short line; what follows from a restored store goes without saying."""
    restored = [error for error in errors if isinstance(error, StoreRestored)]
    if len(restored) > 1:
        names = ", ".join(sorted(error.context for error in restored))
        return f"the stores of {names} are not those that were published, or older: {RESTORE_REMEDY}"
    first, *others = dict.fromkeys(map(str, restored or errors))
    return f"{first} (and {len(others)} more problems)" if others else first


def fail(message: str) -> None:
    """End with one line and status 2."""
    last_word("contexts", message)
    raise SystemExit(2)


if __name__ == "__main__":
    typer.run(run)
