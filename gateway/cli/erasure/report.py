"""What was looked at and what was found, for people."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec
from rich.console import Console

from gateway.cli.erasure.databases import SearchedDatabases
from gateway.cli.erasure.encodings import FORMS
from gateway.cli.erasure.evidence import Evidence
from gateway.cli.erasure.files import SearchedFiles
from gateway.cli.erasure.search import Found

MOST_SHOWN = 50


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """Everything; `elsewhere` is what of the system could not be searched because it does not lie here."""

    customer_id: str
    texts: int
    evidence: Evidence
    folders: tuple[SearchedFiles, ...]
    databases: SearchedDatabases
    elsewhere: tuple[str, ...]

    @property
    def found(self) -> list[Found]:
        """Every place where one of the texts is."""
        return [*(item for folder in self.folders for item in folder.found), *self.databases.found]

    @property
    def unread(self) -> list[str]:
        """Every file that could not be searched."""
        return [path for folder in self.folders for path in folder.unread]

    @property
    def clean(self) -> bool:
        """Whether nothing is left of the customer wherever was looked."""
        return not (self.evidence.problems or self.found or self.unread)


def for_programs(report: Report) -> dict[str, object]:
    """As JSON tells it."""
    return {
        "erased": report.clean,
        "texts": report.texts,
        "forms": FORMS,
        **msgspec.to_builtins(report.evidence),
        "folders": [
            {
                "root": it.root,
                "files": it.files,
                "bytes": it.bytes,
                "by_folder": it.folders,
                "left_out": it.left_out,
            }
            for it in report.folders
        ],
        "databases": report.databases.rows,
        "found": msgspec.to_builtins(report.found),
        "unread": report.unread,
        "elsewhere": report.elsewhere,
    }


def show(report: Report, console: Console) -> None:
    """Print it."""
    for line in lines(report):
        console.print(line, highlight=False, soft_wrap=True, markup=False)


def lines(report: Report) -> Iterator[str]:
    """First what was looked at, then what is wrong, then the verdict."""
    evidence = report.evidence
    yield (
        f"{counted(evidence.events, 'event')} of {report.customer_id} in the store, "
        f"{evidence.encrypted} encrypted; "
        f"{counted(evidence.documents, 'document')}, {counted(evidence.dead_letters, 'dead letter')}"
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
    for unread in report.unread:
        yield f"could not be searched: {unread}"
    if report.clean:
        yield verdict(report)


def verdict(report: Report) -> str:
    """No more than what was looked at allows."""
    if not report.texts:
        return f"erased: the key of {report.customer_id} was destroyed, and with it what is encrypted"
    if report.elsewhere:
        return (
            f"erased: the key of {report.customer_id} was destroyed, and nothing is left where was searched"
        )
    return f"erased: nothing of {report.customer_id} can be read any more"


def counted(number: int, what: str) -> str:
    """So many of something."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _searched(report: Report) -> Iterator[str]:
    for it in report.folders:
        where = ", ".join(f"{name} {count}" for name, count in sorted(it.folders.items()))
        yield f"searched {counted(it.files, 'file')} ({it.bytes:,} bytes) under {it.root}: {where or 'none'}"
        for path in it.left_out:
            yield f"left out {path}: it is where the texts were read from"
    for database, rows in report.databases.rows.items():
        what = "document" if database.startswith("MongoDB") else "row"
        yield f"searched {counted(rows, what)} of {database}"
    yield f"looked for {counted(report.texts, 'text')}, each as {', '.join(FORMS)}"
    for place in report.elsewhere:
        yield f"not searched: {place}"
    yield "not searched: backups that lie elsewhere, and whoever else was told of the customer"
