"""`replay`: the operator's commands; each of them is a function in a file of its own."""

from __future__ import annotations

import typer

from gateway.cli.replay import dead_letters
from gateway.cli.replay.control import cancel, pause, rate
from gateway.cli.replay.diff import diff
from gateway.cli.replay.publish import publish
from gateway.cli.replay.repair import repair
from gateway.cli.replay.show import show
from gateway.cli.replay.start import attend, resume, start
from gateway.cli.replay.status import status
from gateway.cli.replay.switch import drop, rollback, switch
from gateway.cli.replay.trace import trace
from read_models.replay.errors import STATUSES

app = typer.Typer(
    name="replay",
    help="Rebuild read models beside the live ones, compare, switch, repair, and look at the past.",
    add_completion=False,
    pretty_exceptions_enable=False,
    epilog=STATUSES,
)


@app.callback(invoke_without_command=True)
def replay(context: typer.Context) -> None:
    """Rebuild read models beside the live ones, compare, switch, repair, and look at the past."""
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


for command in (start, status, pause, resume, rate, cancel, switch, rollback, drop):
    app.command(epilog=STATUSES)(command)
app.command(hidden=True)(attend)
app.command(epilog=STATUSES)(show)
app.command(epilog=STATUSES)(trace)
app.command(epilog=STATUSES)(publish)
app.command(epilog=STATUSES)(diff)
app.command(epilog=STATUSES)(repair)
app.add_typer(dead_letters.app)
