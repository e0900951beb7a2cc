"""`python -m gateway`: the HTTP gateway as a process."""

from __future__ import annotations

import gc
import sys

import uvloop

from gateway.app import make_front
from gateway.server import PortTaken, serve
from infra.log import configure_logging
from infra.mongo import MongoUnavailable
from infra.settings import Settings, SettingsInvalid, load_settings
from infra.webhook_signature import SecretUnusable


def main() -> int:
    """Run until told to stop; the exit status."""
    try:
        settings = load_settings()
        json = None if settings.log_format == "auto" else settings.log_format == "json"
        configure_logging("gateway", level=settings.log_level, json=json)
        uvloop.run(run(settings))
    except (SettingsInvalid, PortTaken, MongoUnavailable, SecretUnusable) as error:
        print(f"gateway: {error}", file=sys.stderr)  # noqa: T201 - for whoever started it
        return 2
    return 0


async def run(settings: Settings) -> None:
    front = make_front(settings)
    # What is there by now stays: looking through it again and again took a quarter of each request's time.
    gc.collect()
    gc.freeze()
    await serve(front, settings)


if __name__ == "__main__":
    sys.exit(main())
