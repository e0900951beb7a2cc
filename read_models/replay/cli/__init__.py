"""`replay`: the operator's commands; each of them is a function in a file of its own."""

from __future__ import annotations

import typer

from read_models.replay.cli import dead_letters
from read_models.replay.cli.control import cancel, pause, rate
from read_models.replay.cli.diff import diff
from read_models.replay.cli.publish import publish
from read_models.replay.cli.repair import repair
from read_models.replay.cli.show import show
from read_models.replay.cli.start import attend, resume, start
from read_models.replay.cli.status import status
from read_models.replay.cli.switching import drop, rollback, switch
from read_models.replay.cli.trace import trace
from read_models.replay.failure import STATUSES

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
