"""`orderfold up`: the whole platform on this machine, until Ctrl-C."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import sys
from collections.abc import Callable, Coroutine
from contextlib import closing
from datetime import timedelta
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import msgspec
from rich.console import Console
from rich.status import Status

from gateway.cli.connection import mint
from gateway.cli.customer_keys import require_keys
from gateway.cli.errors import CommandFailed
from gateway.cli.importer.api_client import Shop
from gateway.cli.importer.classification import ONLINE_RETAIL
from gateway.cli.importer.command import Import, run
from gateway.cli.importer.reconciliation import report
from gateway.cli.importer.source import Source
from infra.aio import cancel_all
from infra.embedded.data_folder import FolderUnusable
from infra.embedded.servers import ServerFailed
from infra.embedded.stack import EmbeddedStack
from infra.event_store.store import StoreUnavailable
from infra.security.development_issuer import SigningKeyMissing
from infra.security.tls import client_context
from infra.settings import SettingsInvalid, load_settings
from infra.sockets import PortTaken

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SAMPLE_LIFETIME = timedelta(hours=1)

UNUSABLE = (FolderUnusable, PortTaken, ServerFailed, SettingsInvalid, SigningKeyMissing, StoreUnavailable)


def up(folder: Path, port: int | None, *, sample: bool, console: Console) -> None:
    """Run the stack; raises CommandFailed when it cannot be started or kept alive."""
    require_keys(msgspec.structs.replace(load_settings(), data=folder))
    try:
        asyncio.run(serve(folder, port, sample=sample, console=console))
    except UNUSABLE as error:
        raise CommandFailed(str(error)) from None
    except OSError as error:
        raise CommandFailed(f"{error.filename or folder}: {error.strerror}") from None


async def serve(folder: Path, port: int | None, *, sample: bool, console: Console) -> None:
    """Start everything, say where it is, and stop it all when asked to."""

    def say(line: str) -> None:
        # What reads it, or the disk it goes to, may be gone or full: the stack is more than what it says.
        with contextlib.suppress(OSError):
            console.print(line, highlight=False, markup=False, soft_wrap=True)

    stack = EmbeddedStack(folder, port=port, say=say)
    stopping = asyncio.Event()
    stop_on_signals(stack, stopping, say)
    try:
        await unless(stopping, lambda: begin(stack, say, console))
        if not stopping.is_set():
            for line in welcome(stack, folder):
                say(line)
            await unless(stopping, lambda: work(stack, sample=sample, console=console))
    finally:
        begun = bool(stack.pids)
        if begun:
            say("stopping")
        await stack.stop()
        if begun:
            say("stopped")


def stop_on_signals(stack: EmbeddedStack, stopping: asyncio.Event, say: Callable[[str], None]) -> None:
    """The first signal stops everything in order, the second at once."""

    def on_signal() -> None:
        if stopping.is_set():
            say("killing what has not yet stopped")
            stack.kill_all()
        stopping.set()

    for number in STOP_SIGNALS:
        asyncio.get_running_loop().add_signal_handler(number, on_signal)


async def unless(stopping: asyncio.Event, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
    """Do something, but leave it as soon as everything is to stop."""
    doing = asyncio.create_task(work())
    told = asyncio.create_task(stopping.wait())
    try:
        await asyncio.wait({doing, told}, return_when=asyncio.FIRST_COMPLETED)
        if doing.done():
            doing.result()
    finally:
        await cancel_all(doing, told)


async def begin(stack: EmbeddedStack, say: Callable[[str], None], console: Console) -> None:
    """Start everything, and say what is still waited for."""
    if not console.is_terminal:
        await stack.start()
        await stack.ready(tell=lambda missing: say(f"waiting for {missing}"))
        return
    with Status("starting", console=console) as status:
        await stack.start()
        await stack.ready(tell=lambda missing: status.update(f"waiting for {missing}"))


async def work(stack: EmbeddedStack, *, sample: bool, console: Console) -> None:
    """Keep the stack alive; bring in the sample meanwhile, if there is no order yet."""
    watching = asyncio.create_task(stack.watch())
    importing = asyncio.create_task(import_sample(stack, console)) if sample else None
    try:
        if importing is not None:
            await asyncio.wait({watching, importing}, return_when=asyncio.FIRST_COMPLETED)
            if importing.done():
                importing.result()
        await watching
    finally:
        await cancel_all(watching, importing)


async def import_sample(stack: EmbeddedStack, console: Console) -> None:
    """Import the bundled sample unless there are orders already; a failure is told, and stops nothing."""
    token = mint(stack.settings, [], "sample", SAMPLE_LIFETIME)
    tls = client_context(*stack.settings.client_tls)
    try:
        async with Shop(stack.url, token, 1, lambda _: None, tls) as shop:
            if (await shop.get("/v1/orders", limit=1)).body.get("items"):
                return
        with as_file(files("gateway.cli") / "sample.csv") as file, closing(Source(file)) as source:
            task = Import(
                source=source,
                rejects=None,
                currency="GBP",
                concurrency=8,
                profile=ONLINE_RETAIL,
            )
            report(await run(task, stack.url, token, console, tls), console)
    except CommandFailed as error:
        console.print(f"the sample was not imported: {error}", highlight=False, markup=False)


def welcome(stack: EmbeddedStack, folder: Path) -> list[str]:
    """Where everything is, and how to try it."""
    data = "" if folder == Path(".orderfold") else f" --data {folder}"
    token = f"{command_name()} token{data}"
    return [
        f"orderfold is ready: {stack.url}",
        f"  documentation  {stack.url}/docs",
        f"  health         {stack.url}/health/ready",
        f"  metrics        {' '.join(f'{url}/metrics' for url in stack.metrics_urls.values())}",
        f"  MongoDB        {stack.mongo}",
        f"  data and logs  {stack.folder.root}",
        f"  a token        {token}",
        f'  try it         curl -H "Authorization: Bearer $({token})" {stack.url}/v1/products',
        "  stop           Ctrl-C",
    ]


def command_name() -> str:
    """What to type for `orderfold` here: its path, unless the shell finds it by its name."""
    given = Path(sys.argv[0])
    found = shutil.which("orderfold")
    if given.name != "orderfold" or (found is not None and Path(found).samefile(given)):
        return "orderfold"
    here = Path.cwd()
    return str(given.relative_to(here) if given.is_relative_to(here) else given)
