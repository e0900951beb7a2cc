"""`orderfold import`: what its options mean."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import closing
from datetime import UTC, timezone
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from rich.console import Console

from gateway.cli.connection import IMPORT_LIFETIME, mint, running_settings, settings_of, url_of
from gateway.cli.errors import CommandFailed, Differs
from gateway.cli.importer.api_client import address_of
from gateway.cli.importer.columns import column_names
from gateway.cli.importer.countries import country_names
from gateway.cli.importer.dates import Dates
from gateway.cli.importer.numbers import DecimalForm
from gateway.cli.importer.profile import PROFILES, Profile
from gateway.cli.importer.rejects import rejects_path
from gateway.cli.importer.report import introduce, report
from gateway.cli.importer.run import START_PATIENCE, Import, Result, dry_run, run
from gateway.cli.importer.source import Source, Told, separator_of
from gateway.http.codes import fault_of_currency
from infra.security.tls import client_context

PAYMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
QUOTES = ("double", "none")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The options of the command, as they were typed."""

    data: Path | None = None
    url: str | None = None
    token: str | None = None
    columns: Sequence[str] = ()
    separator: str | None = None
    encoding: str | None = None
    quote: str = "double"
    dates: str | None = None
    decimal: str | None = None
    time_zone: str = "UTC"
    profile: str = "plain"
    countries: Sequence[str] = ()
    stock: int | None = None
    rejects: Path | None = None
    overwrite_rejects: bool = False
    concurrency: int = 32
    currency: str | None = None
    payment: str = "tok_approve"
    dry_run: bool = False


def import_file(file: Path, options: Options, out: Console, err: Console) -> None:
    """Import a file and print the reconciliation; raises Differs unless file and shop agree."""
    profile = profile_of(options.profile)
    currency = currency_of(options.currency, profile)
    if not PAYMENT.fullmatch(options.payment):
        raise CommandFailed(f"--payment: {options.payment!r} is no payment method such as tok_approve")
    zone, countries = zone_of(options.time_zone), country_names(list(options.countries))
    told = told_of(options)
    url = None if options.url is None else address_of(options.url)
    rejects = rejects_of(file, options)
    settings = settings_of(options.data) if url or options.dry_run else running_settings(options.data)
    with closing(Source(file, told)) as source:
        task = Import(
            source=source,
            rejects=rejects,
            overwrite=options.overwrite_rejects,
            currency=currency,
            payment=options.payment,
            stock=options.stock,
            concurrency=options.concurrency,
            profile=profile,
            zone=zone,
            countries=countries,
        )
        introduce(task, err)
        result: Result
        if options.dry_run:
            result = dry_run(task, err)
        else:
            bearer = options.token or mint(settings, [], "import", IMPORT_LIFETIME)
            # A gateway that was named is there or not; the stack's own may be starting again.
            patience = 0.0 if url else START_PATIENCE
            result = asyncio.run(
                run(
                    task,
                    url or url_of(settings),
                    bearer,
                    err,
                    client_context(*settings.client_tls),
                    patience,
                )
            )
        report(task, result, out)
    if not result.reconciled:
        raise Differs


def told_of(options: Options) -> Told:
    """What the options say about the file; raises CommandFailed."""
    if options.quote not in QUOTES:
        raise CommandFailed(f"--quote: {options.quote!r} is none of {', '.join(QUOTES)}")
    if options.dates not in {None, *Dates}:
        raise CommandFailed(f"--dates: {options.dates!r} is none of {', '.join(Dates)}")
    if options.decimal not in {None, *DecimalForm}:
        raise CommandFailed(f"--decimal: {options.decimal!r} is none of {', '.join(DecimalForm)}")
    return Told(
        columns=column_names(options.columns),
        separator=separator_of(options.separator),
        encoding=options.encoding,
        quoted=options.quote == "double",
        dates=Dates(options.dates) if options.dates else None,
        decimal=DecimalForm(options.decimal) if options.decimal else None,
    )


def rejects_of(file: Path, options: Options) -> Path | None:
    """Where rejected rows go; nowhere in a dry run, unless it is said."""
    if options.dry_run and options.rejects is None:
        return None
    return rejects_path(options.rejects, file, overwrite=options.overwrite_rejects)


def profile_of(name: str) -> Profile:
    """A profile by its name; raises CommandFailed."""
    if name not in PROFILES:
        raise CommandFailed(f"--profile: {name!r} is none of {', '.join(PROFILES)}")
    return PROFILES[name]


def currency_of(given: str | None, profile: Profile) -> str:
    """The currency of the file's prices; raises CommandFailed if nothing says it."""
    if given is None:
        if profile.currency is None:
            raise CommandFailed("the file does not say what its prices are in; say it, as in --currency GBP")
        return profile.currency
    fault = fault_of_currency(given)
    if fault is not None:
        raise CommandFailed(f"--currency: {fault}; write it as GBP")
    if profile.currency not in {None, given}:
        raise CommandFailed(f"--currency: the prices of {profile.name} are in {profile.currency}")
    return given


def zone_of(name: str) -> ZoneInfo | timezone:
    """A time zone by its name; raises CommandFailed."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise CommandFailed(f"--time-zone: {name!r} is no time zone such as Europe/London") from None
