"""The front door: `orderfold`, and what each of its commands takes."""

from __future__ import annotations

# ruff: noqa: PLC0415 - a command imports what it needs when it runs, so that `orderfold token` is quick
try:
    import os
    import signal
    import sys
    import traceback
    from pathlib import Path
    from typing import Annotated, NoReturn

    import typer
    from rich.console import Console
    from typer.exceptions import TyperException

    from gateway.cli.errors import CommandFailed, Differs
    from infra.settings import SettingsInvalid, load_settings
    from read_models.replay.errors import STATUSES, ReplayFailed, ReplayInterrupted
except KeyboardInterrupt:
    # All of that takes a second; who ends it by then is told nothing.
    raise SystemExit(130) from None

Data = Annotated[
    Path | None, typer.Option("--data", help="Folder of the embedded stack's data. [default: .orderfold]")
]

app = typer.Typer(
    name="orderfold",
    help="A headless order platform: every fact an event, every order the fold of its events.",
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=STATUSES,
)


@app.command(epilog=STATUSES)
def up(
    *,
    data: Data = None,
    port: Annotated[
        int | None, typer.Option(min=1, max=65535, help="Port of the gateway. [default: 8080]")
    ] = None,
    sample: Annotated[
        bool, typer.Option("--sample", help="Import a small sample if there are no orders.")
    ] = False,
) -> None:
    """Run everything on this machine until Ctrl-C: servers, contexts, read models, gateway."""
    from gateway.cli.up import up as run

    run(data or load_settings().data, port, sample=sample, console=err())


@app.command(epilog=STATUSES)
def token(
    *,
    scope: Annotated[
        list[str] | None,
        typer.Option(help="Scopes, such as 'orders:read orders:write'. [default: all that fit]"),
    ] = None,
    subject: Annotated[str, typer.Option(help="Who the token is for.")] = "operator",
    customer: Annotated[
        str | None, typer.Option(help="Mint a customer's own token: it reaches what is theirs alone.")
    ] = None,
    ttl: Annotated[str, typer.Option(help="How long it is good: 90s, 15m, 1h, 30d.")] = "1h",
    data: Data = None,
) -> None:
    """Print a bearer token and nothing else."""
    from gateway.cli.token import token as mint

    sys.stdout.write(mint(data, scope or [], subject, ttl, customer) + "\n")


@app.command(name="import", epilog=STATUSES)
def import_(
    file: Annotated[
        Path, typer.Argument(help="CSV of invoice rows, a line of an invoice each; plain or gzip.")
    ],
    *,
    currency: Annotated[
        str | None, typer.Option(help="Currency of the prices, such as GBP. [default: the profile's]")
    ] = None,
    profile: Annotated[
        str,
        typer.Option(help="Rules of a data set: plain (none) or online-retail (UCI: charges, credit notes)."),
    ] = "plain",
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", "--map", help="What a column is called in the file: 'UnitPrice=Price'."),
    ] = None,
    separator: Annotated[
        str | None, typer.Option(help="comma, semicolon, tab, pipe or a character. [default: the header's]")
    ] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Such as windows-1252. [default: UTF-8, or what the file's mark says]")
    ] = None,
    quote: Annotated[str, typer.Option(help="What quotes a field: double or none.")] = "double",
    dates: Annotated[
        str | None, typer.Option(help="iso, dmy or mdy. [default: what the whole column shows]")
    ] = None,
    decimal: Annotated[
        str | None, typer.Option(help="point or comma. [default: what the whole column shows]")
    ] = None,
    time_zone: Annotated[
        str, typer.Option(help="Of times without an offset, such as Europe/London.")
    ] = "UTC",
    countries: Annotated[
        list[str] | None, typer.Option("--country", help="The ISO code of a country's name: 'UK=GB'.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Read the file and tell what is in it; send nothing.")
    ] = False,
    rejects: Annotated[
        Path | None,
        typer.Option(help="Where rejected rows go. [default: NAME.rejects.csv, or with a number]"),
    ] = None,
    overwrite_rejects: Annotated[
        bool, typer.Option("--overwrite-rejects", help="Write over the file that --rejects names.")
    ] = False,
    stock: Annotated[
        int | None,
        typer.Option(
            min=1, max=10**9, help="Units to receive of each product, once. [default: what is sold]"
        ),
    ] = None,
    payment: Annotated[str, typer.Option(help="Payment method of every order.")] = "tok_approve",
    url: Annotated[str | None, typer.Option(help="The gateway. [default: the running stack's]")] = None,
    token: Annotated[str | None, typer.Option(help="Bearer token. [default: one is minted]")] = None,
    concurrency: Annotated[int, typer.Option(min=1, max=256, help="Requests at once.")] = 32,
    data: Data = None,
) -> None:
    """Bring past sales in over HTTP, and reconcile them. Run again, it goes on where it stopped.

    How the file is written is found out for the whole of it and told; what it leaves open is asked for.
    Status 0: every row is sold or rejected by a rule of the profile, and the shop's sales are the file's.
    1: rows were left out, nothing was accepted, or file and shop differ. 2: the file or an option is refused.
    """
    from gateway.cli.importer.command import Options, import_file

    options = Options(
        data=data,
        url=url,
        token=token,
        columns=columns or (),
        separator=separator,
        encoding=encoding,
        quote=quote,
        dates=dates,
        decimal=decimal,
        time_zone=time_zone,
        profile=profile,
        countries=countries or (),
        stock=stock,
        rejects=rejects,
        overwrite_rejects=overwrite_rejects,
        concurrency=concurrency,
        currency=currency,
        payment=payment,
        dry_run=dry_run,
    )
    import_file(file, options, out=out(), err=err())


@app.command(epilog=STATUSES)
def verify(
    *,
    wait: Annotated[
        float, typer.Option(min=0, help="Seconds to let relays, projectors and a forgetting catch up first.")
    ] = 30,
    erased: Annotated[
        str | None,
        typer.Option(metavar="CUSTOMER", help="Look instead whether a forgotten customer really is."),
    ] = None,
    text: Annotated[
        Path | None,
        typer.Option(help="With --erased: what to search everything for, a line each; - for standard input."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    data: Data = None,
) -> None:
    """Compare the stores with JetStream and the read models folded anew; status 1 if anything differs.

    With --erased: is the customer's key gone, is anything personal left in
    events and documents, and is any of the texts in a file under the data
    folder (stores, JetStream, MongoDB, logs, copies of them), in a document of
    MongoDB or a row of PostgreSQL? Status 1 if so, 2 if it cannot be told.
    """
    if erased is not None:
        from gateway.cli.erasure.command import verify_erased

        verify_erased(data, erased, text, wait, as_json=as_json, out=out(), err=err())
        return
    if text is not None:
        raise CommandFailed("--text goes with --erased CUSTOMER")
    from gateway.cli.verify import verify as run

    run(data, wait, as_json=as_json, out=out(), err=err())


@app.command(epilog=STATUSES)
def doctor(
    *,
    settings: Annotated[bool, typer.Option("--settings", help="List every setting instead.")] = False,
    data: Data = None,
) -> None:
    """Check the installation; each finding comes with its fix. Status 1 if there is any."""
    from gateway.cli.doctor.command import doctor as run

    run(data, settings=settings, out=out())


keys = typer.Typer(help="The master key that every customer's key is wrapped with.", no_args_is_help=True)
app.add_typer(keys, name="keys")


@keys.command(name="new", epilog=STATUSES)
def keys_new(
    *,
    lose: Annotated[
        int | None,
        typer.Option(
            "--lose-customers",
            min=1,
            help="Give up for good the data of so many customers, whose keys are lost.",
        ),
    ] = None,
    data: Data = None,
) -> None:
    """Make the first master key, where ORDERFOLD_MASTER_KEY_FILE says or in the data folder.

    Where customers' data are encrypted and the master key or the key store is gone,
    it refuses and tells how many customers' data would be lost; --lose-customers
    with that number gives these data up. The data of other customers stay.
    """
    from gateway.cli.keys import new

    new(data, err(), lose)


@keys.command(name="rotate", epilog=STATUSES)
def keys_rotate(*, data: Data = None) -> None:
    """Exchange the master key: wrap every customer's key with a new one, while the system runs.

    Ended in the middle, it goes on when it is run again.
    """
    from gateway.cli.keys import rotate

    rotate(data, err())


restored = typer.Typer(help="After backups were put in place: make one state of them.", no_args_is_help=True)
app.add_typer(restored, name="restore")

Discard = Annotated[
    bool,
    typer.Option("--discard-published", help="Do not put back events that only the streams still have."),
]


@restored.command(name="check", epilog=STATUSES)
def restore_check(*, discard: Discard = False, data: Data = None) -> None:
    """Tell which parts are older than which others, and what is lost; status 1 if they do not fit together.

    Compares each context's store with its stream, with what other contexts and
    read models have read of it, and with the payment provider's books. Nothing
    is changed. Everything else must be stopped.
    """
    from gateway.cli.restore.command import check

    check(data, discard=discard, out=out())


@restored.command(name="apply", epilog=STATUSES)
def restore_apply(*, discard: Discard = False, data: Data = None) -> None:
    """Put back what the streams still have, rewind who has read too much, and list what is lost.

    What is lost is written to restored-TIME.jsonl in the data folder before
    anything is deleted. Everything else must be stopped; then run `orderfold up`
    and `orderfold verify`.
    """
    from gateway.cli.restore.command import mend

    mend(data, discard=discard, out=out())


@app.command(
    # Its own commands are there when it is called; it has their help.
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
    add_help_option=False,
)
def replay(context: typer.Context, *, data: Data = None) -> object:
    """Rebuild read models beside the live ones, compare, switch, repair, and look at the past."""
    from gateway.cli.connection import enter
    from gateway.cli.replay import app as commands

    if context.args and "--help" not in context.args:
        enter(data)
    return commands(context.args, prog_name="orderfold replay", standalone_mode=False)


def out() -> Console:
    """Where results go."""
    return Console()


def err() -> Console:
    """Where everything else goes."""
    return Console(stderr=True)


def main() -> None:
    """Run a command. What it cannot do it says in one line, with status 2."""
    try:
        status = app(sys.argv[1:] or ["--help"], prog_name="orderfold", standalone_mode=False)
    except TyperException as error:
        fail(error.format_message())
    except (CommandFailed, ReplayFailed, SettingsInvalid) as error:
        fail(str(error))
    except Differs:
        raise SystemExit(1) from None
    except BrokenPipeError:
        # Whoever read has gone: nothing more to say, not even at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(2) from None
    except (KeyboardInterrupt, typer.Abort, ReplayInterrupted) as error:
        interrupted(str(error))
    except Exception as error:  # noqa: BLE001 - whatever it is, the user gets a line
        fail(f"unexpected {type(error).__name__}: {error} (ORDERFOLD_LOG_LEVEL=debug shows more)")
    raise SystemExit(status or 0)


def interrupted(message: str) -> NoReturn:
    """End with status 130, and a line where there is something to say."""
    # A second Ctrl-C, while what was begun is given up, ends the process at once.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if message:
        sys.stderr.write(f"orderfold: {' '.join(message.split())}\n")
    raise SystemExit(130) from None


def fail(message: str) -> NoReturn:
    """End with one line and status 2."""
    if os.environ.get("ORDERFOLD_LOG_LEVEL") == "debug" and sys.exc_info()[0] is not None:
        traceback.print_exc()
    line = " ".join(message.split())
    sys.stderr.write(f"orderfold: {line}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    main()
