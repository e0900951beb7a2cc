"""`orderfold import`: what its options mean."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

from rich.console import Console

from gateway.cli.failure import CommandFailed, Differs
from gateway.cli.importer.report import report
from gateway.cli.importer.run import Import, run
from gateway.cli.importer.source import Source, column_names
from gateway.cli.surroundings import IMPORT_LIFETIME, mint, running_settings, settings_of, url_of
from infra.tls import client_context

CURRENCY = re.compile(r"[A-Z]{3}")
PAYMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")


def import_file(
    file: Path,
    *,
    data: Path | None,
    url: str | None,
    token: str | None,
    names: str,
    stock: int | None,
    rejects: Path | None,
    concurrency: int,
    currency: str,
    payment: str,
    out: Console,
    err: Console,
) -> None:
    """Import a file and print the reconciliation; raises Differs unless file and shop agree."""
    if not CURRENCY.fullmatch(currency):
        raise CommandFailed(f"--currency: {currency!r} is no ISO 4217 code such as GBP")
    if not PAYMENT.fullmatch(payment):
        raise CommandFailed(f"--payment: {payment!r} is no payment method such as tok_approve")
    settings = settings_of(data) if url else running_settings(data)
    task = Import(
        source=Source(file, column_names(names)),
        rejects=rejects or Path(f"{file.name.removesuffix('.gz').removesuffix('.csv')}.rejects.csv"),
        currency=currency,
        payment=payment,
        stock=stock,
        concurrency=concurrency,
    )
    bearer = token or mint(settings, [], "import", IMPORT_LIFETIME)
    result = asyncio.run(run(task, url or url_of(settings), bearer, err, client_context(settings)))
    report(task, result, out)
    if not result.reconciled:
        raise Differs
