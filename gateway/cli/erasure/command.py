"""`orderfold verify --erased CUSTOMER`: whether a forgotten customer really is."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console

from gateway.cli.connection import running_settings
from gateway.cli.erasure.databases import SearchedDatabases, postgres_urls, search_mongo, search_postgres
from gateway.cli.erasure.evidence import CustomerUnknown, Evidence, gather
from gateway.cli.erasure.files import SearchedFiles, search_files
from gateway.cli.erasure.report import Report, for_programs, show
from gateway.cli.erasure.search_terms import Texts, read_texts
from gateway.cli.errors import CommandFailed, Differs
from gateway.cli.progress import steps
from infra.event_log.client import ContextUnavailable, LogClient
from infra.event_store.store import StoreUnavailable
from infra.mongo import Mongo, MongoUnavailable
from infra.nats.connection import NatsUnavailable, connect
from infra.settings import Settings, SettingsInvalid
from infra.vault.key_store import KeyStore
from infra.vault.master_keys import MasterKeys

MEGABYTE = 1_000_000

UNANSWERED = (NatsUnavailable, MongoUnavailable, ContextUnavailable, StoreUnavailable)


def verify_erased(
    data: Path | None,
    customer_id: str,
    texts: Path | None,
    wait: float,
    *,
    as_json: bool,
    out: Console,
    err: Console,
) -> None:
    """Look, and print what was searched and found; raises Differs, or CommandFailed if it cannot be told."""
    settings = running_settings(data)
    wanted = read_texts(texts)
    databases = SearchedDatabases()
    try:
        evidence = asyncio.run(ask(settings, customer_id, wait, wanted, databases, err))
        search_stores(settings, wanted, databases, err)
    except UNANSWERED as error:
        advised = "" if "?" in str(error) else "; is the stack running?"
        raise CommandFailed(f"{error}{advised}") from None
    except (CustomerUnknown, SettingsInvalid) as error:
        raise CommandFailed(str(error)) from None
    report = Report(
        customer_id=customer_id,
        texts=wanted.count,
        evidence=evidence,
        folders=tuple(search_folder(folder, wanted, err) for folder in folders(settings)),
        databases=databases,
        elsewhere=tuple(elsewhere(settings)),
    )
    if as_json:
        out.print_json(data=for_programs(report))
    else:
        show(report, out)
    if not report.clean:
        raise Differs


async def ask(
    settings: Settings,
    customer_id: str,
    wait: float,
    texts: Texts,
    databases: SearchedDatabases,
    err: Console,
) -> Evidence:
    """What the running stack holds of a customer, and of the texts in its documents."""
    keys = KeyStore(key_store(settings), no_master_keys)
    nats = await connect(settings, "operator-erased")
    mongo = Mongo(settings)
    try:
        evidence = await gather(LogClient(nats), mongo, keys, customer_id, wait)
        if texts.wanted:
            with steps(err, "documents") as shown:
                await search_mongo(mongo, texts, databases, shown.at)
        return evidence
    finally:
        mongo.close()
        await nats.close()
        await keys.close()


def key_store(settings: Settings) -> str:
    """Where the key store is; raises CommandFailed where there is none: asking must not make one."""
    url = settings.key_store_url
    if url.startswith("sqlite:") and not Path(url.removeprefix("sqlite:")).exists():
        raise CommandFailed(
            f"there is no key store {url.removeprefix('sqlite:')}; name it with ORDERFOLD_KEY_STORE"
        )
    return url


def no_master_keys() -> MasterKeys:
    """Whether a key was destroyed can be seen without opening any."""
    raise SettingsInvalid("keys are not opened to see whether one was destroyed")


def search_stores(settings: Settings, texts: Texts, databases: SearchedDatabases, err: Console) -> None:
    """Search the event stores that are no files of ours."""
    urls = postgres_urls(settings) if texts.wanted else []
    if urls:
        with steps(err, "rows") as shown:
            for url in urls:
                search_postgres(url, texts, databases, shown.at)


def folders(settings: Settings) -> list[Path]:
    """The data folder, and where event stores lie that are files elsewhere."""
    store = Path(settings.store.removeprefix("sqlite:")).absolute()
    apart = settings.store.startswith("sqlite:") and not store.is_relative_to(settings.data.absolute())
    return [settings.data, *([store] if apart else [])]


def search_folder(folder: Path, texts: Texts, err: Console) -> SearchedFiles:
    """Search the files of the data folder."""
    if not texts.wanted:
        return search_files(folder, texts)
    with steps(err, "megabytes") as shown:
        return search_files(
            folder,
            texts,
            lambda done, total: shown.at(done // MEGABYTE, None if total is None else total // MEGABYTE),
        )


def elsewhere(settings: Settings) -> Iterator[str]:
    """What of the system may hold something and does not lie in the data folder."""
    if postgres_urls(settings):
        yield "PostgreSQL's own files: rows changed or deleted stay in them, and in its log, for a while"
    elif not settings.store and not (settings.data / "stores").is_dir():
        yield f"event stores: they are not under {settings.data}"
    for folder, what in (("nats", "JetStream's files"), ("mongo", "MongoDB's files"), ("logs", "logs")):
        if not (settings.data / folder).is_dir():
            yield f"{what}: they are not under {settings.data}"
