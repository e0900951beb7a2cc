"""`orderfold import`: what its options mean, and one import from its file to its reconciliation."""

from __future__ import annotations

import asyncio
import csv
import os
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, timezone
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import IO, Self
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import msgspec
from rich.console import Console

from gateway.cli.connection import IMPORT_LIFETIME, mint, running_settings, settings_of, url_of
from gateway.cli.errors import CommandFailed, Differs
from gateway.cli.importer.api_client import Shop, address_of
from gateway.cli.importer.classification import (
    ONLINE_RETAIL,
    PLAIN,
    PROFILES,
    Classifier,
    Profile,
    Reading,
    Reason,
    Rejected,
    country_names,
)
from gateway.cli.importer.columns import Dates, DecimalForm, column_names, minor_digits
from gateway.cli.importer.invoices import Sales, Survey, fixed, invoices, survey
from gateway.cli.importer.reconciliation import Result, decided, report, settled_sales
from gateway.cli.importer.sending import Delivery, placed_among
from gateway.cli.importer.source import Row, Source, Told, separator_of
from gateway.cli.progress import steps
from gateway.http.codes import fault_of_currency
from infra.security.tls import client_context

PAYMENT = re.compile(r"[A-Za-z0-9_-]{1,64}")
QUOTES = ("double", "none")
START_SECONDS = 30.0
"""Seconds a stack on this machine may take to come back when an import begins."""
MOST_NUMBERS = 10_000
"""Files of rejects that are not named."""


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
        if options.dry_run:
            result = dry_run(task, err)
        else:
            bearer = options.token or mint(settings, [], "import", IMPORT_LIFETIME)
            tls = client_context(*settings.client_tls)
            # A gateway that was named is there or not; the stack's own may be starting again.
            answer_within = 0.0 if url else START_SECONDS
            result = asyncio.run(run(task, url or url_of(settings), bearer, err, tls, answer_within))
        report(result, out)
    if not result.reconciled:
        raise Differs


def introduce(task: Import, console: Console) -> None:
    """Say how the file is understood, before anything of it is sent."""
    source, profile = task.source, task.profile
    lines = [
        f"{source.path.name}: {source.said}",
        f"profile {profile.name}, currency {task.currency}, times without an offset are in {task.zone}",
    ]
    if profile is PLAIN and source.is_online_retail:
        lines.append(
            "its header is that of the UCI data set: the rules of that (charges, credit notes) are "
            f"--profile {ONLINE_RETAIL.name}"
        )
    for line in lines:
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def told_of(options: Options) -> Told:
    """What the options say about the file; raises CommandFailed."""
    if options.quote not in QUOTES:
        raise CommandFailed(f"--quote: {options.quote!r} is not one of {', '.join(QUOTES)}")
    if options.dates not in {None, *Dates}:
        raise CommandFailed(f"--dates: {options.dates!r} is not one of {', '.join(Dates)}")
    if options.decimal not in {None, *DecimalForm}:
        raise CommandFailed(f"--decimal: {options.decimal!r} is not one of {', '.join(DecimalForm)}")
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
        raise CommandFailed(f"--profile: {name!r} is not one of {', '.join(PROFILES)}")
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


class Import(msgspec.Struct, frozen=True, kw_only=True):
    """What is asked for. `stock` is received of each SKU instead of what the file sells, if given.

    `rejects` is None where the rows that are not taken are only counted.
    """

    source: Source
    rejects: Path | None
    overwrite: bool = False
    currency: str
    payment: str = "tok_approve"
    stock: int | None = None
    concurrency: int = 32
    profile: Profile = PLAIN
    zone: ZoneInfo | timezone = UTC
    countries: Mapping[str, str] = msgspec.field(default_factory=dict)

    @property
    def classifier(self) -> Classifier:
        return Classifier(
            Reading(
                digits=minor_digits(self.currency),
                dates=self.source.dates,
                decimal=self.source.decimal,
                zone=self.zone,
                profile=self.profile,
                countries=self.countries,
            )
        )

    def result(self, found: Survey, ours: Sales | None = None) -> Result:
        """What came of it if nothing was sent."""
        return Result(
            file=self.source.path,
            currency=self.currency,
            profile=self.profile,
            rejects=self.rejects,
            survey=found,
            ours=ours or Sales(),
            file_changed=self.source.changed,
        )


def read(task: Import, classifier: Classifier, console: Console) -> Survey:
    """Read the rows, writing those that are no sales to the rejects."""
    found = Survey()
    with (
        Rejects(task.rejects, task.source.header, overwrite=task.overwrite) as rejects,
        steps(console, "rows") as shown,
    ):
        for found, row, kind in survey(task.source, classifier):
            if isinstance(kind, Rejected):
                rejects.write(row, kind)
            if found.rows % 1000 == 0:
                shown.at(found.rows)
        shown.at(found.rows, found.rows)
    return found


def dry_run(task: Import, console: Console) -> Result:
    """Read and tell; nothing is sent."""
    found = read(task, task.classifier, console)
    ours = Sales()
    for invoice in invoices(task.source, task.classifier, found):
        ours.add(invoice.placed_at.date(), invoice.country, invoice.sales)
    return task.result(found, ours)


async def run(
    task: Import,
    url: str,
    token: str,
    console: Console,
    tls: ssl.SSLContext,
    answer_within: float = START_SECONDS,
) -> Result:
    """Import a file, telling on `console` how far it is; raises CommandFailed when it cannot go on.

    `answer_within`: how many seconds the shop may take to answer for the first time.
    """
    classifier = task.classifier

    def notice(line: str) -> None:
        console.print(line, highlight=False, markup=False, soft_wrap=True)

    async with Shop(url, token, task.concurrency, notice, tls) as shop:
        await shop.meet(answer_within)
        found = read(task, classifier, console)
        if not found.accepted:
            return task.result(found)
        delivery = Delivery(shop, task.currency, minor_digits(task.currency), task.concurrency)
        await send(task, delivery, shop, classifier, found, console)
        accepted = delivery.accepted
        with steps(console, "confirmed", len(accepted.orders)) as shown:
            decisions = await decided(shop, accepted.orders, delivery.placed, shown)
        confirmed = decisions.all_confirmed and not delivery.changed
        theirs = await settled_sales(
            shop, accepted.sales, task.currency, delivery.placed, confirmed=confirmed
        )
    reject_refused(task, delivery.refused, classifier, found)
    result = task.result(found, accepted.sales)
    return msgspec.structs.replace(result, delivery=delivery, decisions=decisions, theirs=theirs)


async def send(
    task: Import, delivery: Delivery, shop: Shop, classifier: Classifier, found: Survey, console: Console
) -> None:
    """Products, customers, stock and orders, in the order in which they need each other."""
    await delivery.check_currency(found.products)
    with steps(console, "products", len(found.products)) as shown:
        await delivery.add_products(found.products, shown)
    with steps(console, "customers", len(found.customers)) as shown:
        await delivery.register_customers(found.customers, shown)
    with steps(console, "orders there") as shown:
        placed = await placed_among(shop, found.heads, shown)
    sold = partial(invoices, task.source, classifier, found)
    with steps(console, "stock") as shown:
        if task.stock is None:
            await delivery.receive_stock(sold, placed, shown)
        else:
            await delivery.receive(fixed(found.products, task.stock), shown)
    with steps(console, "orders", found.invoices) as shown:
        await delivery.place_orders(sold(), task.payment, placed, found.invoices, shown)


def reject_refused(task: Import, refused: Mapping[str, str], classifier: Classifier, found: Survey) -> None:
    """Add the rows of orders that the shop does not take to the rejects, with its reason."""
    if not refused:
        return
    # The file is this import's own by now, if there is one.
    mine = task.overwrite or found.rejected.total() > 0
    with Rejects(task.rejects, task.source.header, overwrite=task.overwrite, added=mine) as rejects:
        for row in task.source.rows():
            kind = found.verdict(classifier.classify(row))
            if not isinstance(kind, Rejected) and kind.invoice in refused:
                rejects.write(row, Rejected(Reason.REFUSED, refused[kind.invoice]))
                found.accepted -= 1
                found.rejected[Reason.REFUSED] += 1


class Rejects:
    """Rows with their line before them, and the reason after. `path` is None in a dry run without a name."""

    def __init__(
        self, path: Path | None, header: Sequence[str], *, overwrite: bool = False, added: bool = False
    ) -> None:
        """`added`: the rows come after those that were written to it before."""
        self.path = path
        self._header = header
        self._mode = "a" if added else "w" if overwrite else "x"
        self._file: IO[str] | None = None

    def __enter__(self) -> Self:
        if self._mode == "w":
            # What was there is of another import, even if this one rejects nothing.
            self._open()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        file, self._file = self._file, None
        if file is not None:
            with self._written():
                file.close()

    def write(self, row: Row, why: Rejected) -> None:
        """Add a row; raises CommandFailed if the file cannot be made or written."""
        file = self._file or self._open()
        if file is not None:
            padding = [""] * (len(self._header) - len(row.fields))
            with self._written():
                csv.writer(file).writerow([row.line, *row.fields, *padding, why.reason, why.detail])

    def _open(self) -> IO[str] | None:
        if self.path is None:
            return None
        with self._written():
            self._file = self.path.open(self._mode, encoding="utf-8", errors="backslashreplace", newline="")
            if self._mode != "a":
                csv.writer(self._file).writerow(["Line", *self._header, "Reason", "Detail"])
        return self._file

    @contextmanager
    def _written(self) -> Iterator[None]:
        """Have what the system says against writing be the command's one line."""
        assert self.path is not None
        try:
            yield
        except FileExistsError:
            raise CommandFailed(exists(self.path)) from None
        except OSError as error:
            raise CommandFailed(f"--rejects: {self.path} cannot be written: {error.strerror}") from None


def rejects_path(given: Path | None, file: Path, *, overwrite: bool) -> Path:
    """Where rejected rows go; raises CommandFailed if that would destroy anything.

    A name that is not given has a number after it while there is such a file already.
    """
    if given is None:
        stem = file.name.removesuffix(".gz").removesuffix(".csv")
        names = (
            f"{stem}.rejects{'' if number == 1 else f'-{number}'}.csv" for number in range(1, MOST_NUMBERS)
        )
        free = next((name for name in names if not os.path.lexists(name)), None)
        if free is None:
            raise CommandFailed(
                f"there are {MOST_NUMBERS:,} files of rejects here; name another with --rejects"
            )
        given = Path(free)
    try:
        if given.exists() and file.exists() and given.samefile(file):
            raise CommandFailed(f"--rejects: {given} is the file to be imported; name another")
        if os.path.lexists(given) and not overwrite:
            raise CommandFailed(exists(given))
        if given.is_dir():
            raise CommandFailed(f"--rejects: {given} is a folder; name a file")
        if not given.parent.is_dir() or not os.access(given.parent, os.W_OK):
            raise CommandFailed(f"--rejects: {given.parent} is no folder that files can be made in")
    except OSError as error:
        raise CommandFailed(f"--rejects: {given}: {error.strerror}") from None
    return given


def exists(path: Path) -> str:
    return f"--rejects: {path} exists; name another, or say --overwrite-rejects"
