"""`python -m gateway`: the HTTP gateway as a process."""

from __future__ import annotations

import gc
import sys

import uvloop

from gateway.app import make_front
from gateway.server import serve
from infra.mongo import MongoUnavailable
from infra.observability import tracing
from infra.observability.logging.setup import configure_logging, last_word, logged
from infra.security.webhook_signature import SecretUnusable
from infra.settings import Settings, SettingsInvalid, load_settings
from infra.sockets import PortTaken


def main() -> int:
    """Run until told to stop; the exit status."""
    try:
        settings = load_settings()
        configure_logging(
            "gateway", level=settings.log_level, json=settings.log_json, endpoint=settings.log_endpoint
        )
        with tracing.exporting("gateway", settings):
            uvloop.run(logged(run(settings)))
    except (SettingsInvalid, PortTaken, MongoUnavailable, SecretUnusable) as error:
        last_word("gateway", str(error))
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
