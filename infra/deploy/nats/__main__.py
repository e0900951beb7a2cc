"""`python -m infra.deploy.nats`: write the permissions of nats-server's users as the code needs them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from infra.deploy.nats.configuration import COMMAND, MarkersMissing, update, with_permissions
from infra.deploy.nats.permissions import users
from infra.deploy.nats_keys import CONFIGURATION


def run(
    configuration: Annotated[Path, typer.Argument(help="The file to write into.")] = CONFIGURATION,
    *,
    check: Annotated[bool, typer.Option("--check", help="Write nothing; status 1 if it would.")] = False,
) -> None:
    """Write what each NATS user may publish and subscribe to into nats-server.conf, between its two markers.

    It is computed from the contexts, the read models, the gateway's routes and the commands that each sends.
    The rest of the file stays as it is. `git diff` then shows what changed for whom.
    """
    try:
        if check:
            text = configuration.read_text()
            changed = with_permissions(text, users(), configuration.name) != text
        else:
            changed = update(configuration, users())
    except MarkersMissing as error:
        fail(str(error))
    except OSError as error:
        fail(f"{configuration}: {error.strerror}")
    if check and changed:
        command = COMMAND if configuration == CONFIGURATION else f"{COMMAND} {configuration}"
        sys.stderr.write(f"nats: {configuration} is not what the code needs: run `{command}`\n")
        raise SystemExit(1)
    sys.stdout.write(f"{configuration} {'written' if changed else 'is up to date'}\n")


def fail(message: str) -> None:
    """End with one line and status 2."""
    sys.stderr.write(f"nats: {message}\n")
    raise SystemExit(2)


if __name__ == "__main__":
    typer.run(run)
