"""The file of rows that were not taken: made only when there is one, and never over another file."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.classification import Rejected
from gateway.cli.importer.source import Row

MOST_NUMBERS = 10_000


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
    """Why a file is not written."""
    return f"--rejects: {path} exists; name another, or say --overwrite-rejects"
