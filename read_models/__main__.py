"""`python -m read_models run [NAME…]`: keep read models up to date."""

from __future__ import annotations

try:
    import sys
    from typing import Annotated, NoReturn

    import typer
    import uvloop
    from typer.exceptions import TyperException

    from infra.messages.events import PARTITIONS
    from infra.mongo import Mongo, MongoUnavailable
    from infra.observability import tracing
    from infra.observability.logging.setup import configure_logging, last_word, logged
    from infra.settings import SettingsInvalid, load_settings
    from infra.sockets import PortTaken
    from read_models.registry import MODELS
    from read_models.workers.process import run_projectors
except KeyboardInterrupt:
    # All of that takes a second; who ends it by then is told nothing.
    raise SystemExit(130) from None

INVALID = 2
SHARED = "shared"

app = typer.Typer(
    help="The read models: documents that answer queries, kept up to date from the contexts' events.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)


@app.callback()
def read_models() -> None:
    """The read models: documents that answer queries, kept up to date from the contexts' events."""


@app.command()
def run(
    names: Annotated[
        list[str] | None,
        typer.Argument(help=f"Read models to run, all by default: {', '.join(MODELS)}.", show_default=False),
    ] = None,
    partitions: Annotated[
        str,
        typer.Option(
            help=f"Partitions to project, such as 0-7,12; there are 0 to {PARTITIONS - 1}. "
            f"{SHARED}: an even part of them, among all processes that say so."
        ),
    ] = f"0-{PARTITIONS - 1}",
) -> None:
    """Project events into documents until Ctrl-C or SIGTERM.

    Start it twice, with --partitions 0-7 and --partitions 8-15, and the two processes share the work; or any
    number of times with --partitions shared: they divide it anew whenever one comes or goes. Two processes
    with the same partitions are safe: only one of them gets on, the other stands by.

    Where NATS and MongoDB are comes from ORDERFOLD_* environment variables; `orderfold doctor --settings`
    lists them. A server that is not there yet is waited for.
    """
    try:
        chosen = [MODELS[name] for name in names or MODELS]
        numbers = None if partitions == SHARED else parse_partitions(partitions)
        settings = load_settings()
        mongo = Mongo(settings)
    except KeyError as error:
        _fail(f"unknown read model {error.args[0]!r}; choose one of {', '.join(MODELS)}")
    except (ValueError, SettingsInvalid, MongoUnavailable) as error:
        _fail(str(error))
    configure_logging(
        "read-models", level=settings.log_level, json=settings.log_json, endpoint=settings.log_endpoint
    )
    try:
        with tracing.exporting("read-models", settings):
            uvloop.run(logged(run_projectors(chosen, numbers, mongo, settings)))
    except (PortTaken, SettingsInvalid) as error:
        last_word("read_models", str(error))
        raise SystemExit(INVALID) from None
    finally:
        mongo.close()


def parse_partitions(text: str) -> list[int]:
    """Read `0-7,12`; raises ValueError."""
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        if not first.isdecimal() or (dash and not last.isdecimal()):
            raise ValueError(f"{text!r} names no partitions; write them like 0-7,12")
        found.update(range(int(first), int(last if dash else first) + 1))
    if not found or max(found) >= PARTITIONS:
        raise ValueError(f"{text!r} names no partitions; there are 0 to {PARTITIONS - 1}")
    return sorted(found)


def main() -> None:
    """Run a command. What it cannot do it says in one line, with status 2."""
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="python -m read_models", standalone_mode=False)
    except TyperException as error:
        _fail(error.format_message())
    except (KeyboardInterrupt, typer.Abort):
        raise SystemExit(130) from None
    raise SystemExit(status or 0)


def _fail(message: str) -> NoReturn:
    sys.stderr.write(f"read_models: {' '.join(message.split())}\n")
    raise SystemExit(INVALID)


if __name__ == "__main__":
    main()
