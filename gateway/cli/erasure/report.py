"""What was looked at and what was found, for people."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.console import Console

from gateway.cli.erasure.databases import SearchedDatabases
from gateway.cli.erasure.evidence import Evidence
from gateway.cli.erasure.files import SearchedFiles
from gateway.cli.erasure.forms import FORMS
from gateway.cli.erasure.search import Found

MOST_SHOWN = 50


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `elsewhere` is what could not be searched because it does not lie here."""

    customer_id: str
    texts: int
    evidence: Evidence
    files: SearchedFiles
    databases: SearchedDatabases
    elsewhere: tuple[str, ...]

    @property
    def found(self) -> list[Found]:
        """Every place where one of the texts is."""
        return [*self.files.found, *self.databases.found]

    @property
    def clean(self) -> bool:
        """Whether nothing is left of the customer wherever was looked."""
        return not (self.evidence.problems or self.found or self.files.unread)


def for_programs(report: Report) -> dict[str, object]:
    """As JSON tells it."""
    return {
        "erased": report.clean,
        "texts": report.texts,
        "forms": FORMS,
        **msgspec.to_builtins(report.evidence),
        "root": report.files.root,
        "files": report.files.files,
        "bytes": report.files.bytes,
        "folders": report.files.folders,
        "databases": report.databases.rows,
        "found": msgspec.to_builtins(report.found),
        "unread": report.files.unread,
        "left_out": report.files.left_out,
        "elsewhere": report.elsewhere,
    }


def show(report: Report, console: Console) -> None:
    """Print it."""
    for line in lines(report):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def lines(report: Report) -> Iterator[str]:
    """First what was looked at, then what is wrong, then the verdict."""
    evidence, files = report.evidence, report.files
    yield (
        f"{evidence.events} events of {report.customer_id} in the store, {evidence.sealed} of them sealed; "
        f"{evidence.documents} documents, {evidence.dead_letters} dead letters"
    )
    if report.texts:
        yield from _searched(report)
    else:
        yield "no file was searched: --text FILE names what to look for, a line each; - reads standard input"
    for problem in evidence.problems:
        yield f"not erased: {problem}"
    for item in report.found[:MOST_SHOWN]:
        at = "" if item.offset is None else f" at byte {item.offset}"
        yield f"found text {item.line} ({item.form}) in {item.place}{at}"
    if len(report.found) > MOST_SHOWN:
        yield f"… and in {len(report.found) - MOST_SHOWN:,} more places; --json tells all"
    for unread in files.unread:
        yield f"could not be searched: {unread}"
    if report.clean and report.texts:
        yield f"erased: nothing of {report.customer_id} can be read any more"
    elif report.clean:
        yield f"erased: the key of {report.customer_id} was destroyed, and with it what is sealed"


def _searched(report: Report) -> Iterator[str]:
    files = report.files
    folders = ", ".join(f"{name} {count}" for name, count in sorted(files.folders.items()))
    yield f"searched {files.files:,} files ({files.bytes:,} bytes) under {files.root}: {folders or 'nothing'}"
    for database, rows in report.databases.rows.items():
        yield f"searched {rows:,} {'documents' if database.startswith('MongoDB') else 'rows'} of {database}"
    yield f"looked for {report.texts} texts, each as {', '.join(FORMS)}"
    for path in files.left_out:
        yield f"left out {path}: it is where the texts were read from"
    for place in report.elsewhere:
        yield f"not searched: {place}"
