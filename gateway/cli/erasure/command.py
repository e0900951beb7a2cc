"""`orderfold verify --erased CUSTOMER`: whether a forgotten customer really is."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import msgspec
from rich.console import Console

from gateway.cli.erasure.evidence import Evidence, gather
from gateway.cli.erasure.scan import SHORTEST, Scanned, scan
from gateway.cli.failure import CommandFailed, Differs
from gateway.cli.progress import steps
from gateway.cli.surroundings import running_settings
from infra.event_store import StoreUnavailable
from infra.log_client import ContextUnavailable, LogClient
from infra.mongo import Mongo, MongoUnavailable
from infra.nats import NatsUnavailable, connect
from infra.settings import Settings, SettingsInvalid
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeySource

MOST_TEXTS = 1_000

UNANSWERED = (NatsUnavailable, MongoUnavailable, ContextUnavailable, StoreUnavailable, SettingsInvalid)


def verify_erased(
    data: Path | None, customer_id: str, texts: Path | None, *, as_json: bool, out: Console, err: Console
) -> None:
    """Look, and print what was searched and found; raises Differs, or CommandFailed if it cannot be told."""
    settings = running_settings(data)
    wanted = read_texts(texts)
    try:
        evidence = asyncio.run(evidence_of(settings, customer_id))
    except UNANSWERED as error:
        raise CommandFailed(f"{error}; is the stack running?") from None
    with steps(err, "files") as shown:
        scanned = scan(settings.data, wanted, shown.at)
    clean = not (evidence.problems or scanned.found or scanned.unread)
    if as_json:
        out.print_json(
            data={
                "erased": clean,
                "texts": len(wanted),
                **msgspec.to_builtins(evidence),
                **msgspec.to_builtins(scanned),
            }
        )
    else:
        show(customer_id, evidence, scanned, len(wanted), out)
    if not clean:
        raise Differs


def read_texts(path: Path | None) -> list[str]:
    """What to look for, a line each; `-` reads standard input. Raises CommandFailed."""
    if path is None:
        return []
    try:
        content = sys.stdin.read() if str(path) == "-" else path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandFailed(f"--text {path} cannot be read ({error})") from None
    found = [line.strip() for line in content.splitlines() if line.strip()]
    short = [number for number, text in enumerate(found, start=1) if len(text.encode()) < SHORTEST]
    if short:
        raise CommandFailed(
            f"--text: line {short[0]} has under {SHORTEST} bytes and would be found by chance"
        )
    if not 0 < len(found) <= MOST_TEXTS:
        raise CommandFailed(f"--text {path} has {len(found):,} lines; 1 to {MOST_TEXTS:,} can be looked for")
    return found


async def evidence_of(settings: Settings, customer_id: str) -> Evidence:
    """What the running stack holds of a customer."""
    keys = KeyStore(settings.key_store_url, MasterKeySource(settings))
    nats = await connect(settings, "operator-erased")
    mongo = Mongo(settings)
    try:
        return await gather(LogClient(nats), mongo, keys, customer_id)
    finally:
        mongo.close()
        await nats.close()
        await keys.close()


def show(customer_id: str, evidence: Evidence, scanned: Scanned, texts: int, console: Console) -> None:
    """Print it for people."""
    console.print(
        f"{evidence.events} events of {customer_id} in the store, {evidence.sealed} of them sealed; "
        f"{evidence.documents} documents, {evidence.dead_letters} dead letters",
        highlight=False,
    )
    for problem in evidence.problems:
        console.print(f"not erased: {problem}", highlight=False)
    if texts:
        console.print(
            f"searched {scanned.files:,} files ({scanned.bytes:,} bytes: stores, JetStream, MongoDB, logs) "
            f"for {texts} texts, each as {', '.join(scanned.forms)}",
            highlight=False,
        )
    else:
        console.print("no file was searched: --text FILE names what to look for", highlight=False)
    for item in scanned.found:
        console.print(
            f"found text {item.text} ({item.form}) in {item.file} at byte {item.offset}", highlight=False
        )
    for unread in scanned.unread:
        console.print(f"could not be read: {unread}", highlight=False)
    if not (evidence.problems or scanned.found or scanned.unread):
        console.print(f"erased: nothing of {customer_id} can be read any more")
