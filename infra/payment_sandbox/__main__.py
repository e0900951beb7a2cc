"""The sandbox payment provider as a process of its own."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import time
from pathlib import Path

import uvloop
from granian.constants import Interfaces
from granian.server.embed import Server

from infra.aio import cancel_all
from infra.observability.logging.setup import configure_logging, last_word, logged
from infra.payment_sandbox.app import make_app
from infra.payment_sandbox.ledger import Ledger, LedgerUnusable
from infra.payment_sandbox.provider import SandboxProvider
from infra.payment_sandbox.webhooks import Afterwards
from infra.security.webhook_signature import SecretUnusable, read_secret
from infra.sockets import PortTaken, refuse_taken


def arguments() -> argparse.Namespace:
    """What the command line says."""
    parser = argparse.ArgumentParser(prog="python -m infra.payment_sandbox", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, required=True, help="port to listen on")
    parser.add_argument("--data", type=Path, required=True, help="folder of the ledger")
    parser.add_argument("--webhook-url", required=True, help="where webhooks are sent")
    parser.add_argument("--secret-file", type=Path, required=True, help="file with the webhooks' secret")
    return parser.parse_args()


async def serve(host: str, port: int, ledger: Ledger, webhook_url: str, secret: bytes) -> None:
    """Serve until SIGINT or SIGTERM."""
    provider = SandboxProvider(ledger, time.time)
    afterwards = Afterwards(provider, ledger, webhook_url, secret, time.time)
    server = Server(
        make_app(ledger, provider, afterwards), host, port, interface=Interfaces.ASGINL, log_enabled=False
    )
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    working = {
        asyncio.create_task(afterwards.run()),
        asyncio.create_task(server.serve()),
        asyncio.create_task(stopped.wait()),
    }
    done, _ = await asyncio.wait(working, return_when=asyncio.FIRST_COMPLETED)
    server.stop()  # type: ignore[no-untyped-call]
    await cancel_all(*(working - done))
    for task in done:
        task.result()


def main() -> None:
    """Run the provider; a folder, file or port it cannot use is one line."""
    given = arguments()
    configure_logging("provider")
    try:
        secret = read_secret(given.secret_file)
        refuse_taken(given.port, given.host)
        ledger = Ledger(given.data / "ledger.db")
    except (SecretUnusable, PortTaken, LedgerUnusable) as error:
        last_word("payment sandbox", str(error))
        sys.exit(1)
    try:
        uvloop.run(logged(serve(given.host, given.port, ledger, given.webhook_url, secret)))
    finally:
        ledger.close()


main()
