"""Searches every file under a folder; what is packed is searched unpacked, too."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import stat
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any

import msgspec

from gateway.cli.erasure.search import Found, search
from gateway.cli.erasure.search_terms import Texts

PIECE = 1 << 22

UNPACKERS: dict[bytes, Callable[[Any], Any]] = {
    b"\x1f\x8b\x08": gzip.open,
    b"BZh": bz2.open,
    b"\xfd7zXZ\x00": lzma.open,
}
"""By what a file begins with."""
SEALED_UP = {
    b"\x28\xb5\x2f\xfd": "zstd",
    b"\x04\x22\x4d\x18": "lz4",
    b"PK\x03\x04": "zip",
    b"7z\xbc\xaf\x27\x1c": "7z",
}
"""What cannot be looked into from here."""

Tell = Callable[[int, int | None], None]


class SearchedFiles(msgspec.Struct):
    """How many files and bytes were searched, how many files of each folder, and what was found.

    `unread` could not be searched; `left_out` are those that hold the texts to look for.
    """

    root: str
    files: int = 0
    bytes: int = 0
    folders: Counter[str] = msgspec.field(default_factory=Counter)
    found: list[Found] = msgspec.field(default_factory=list)
    unread: list[str] = msgspec.field(default_factory=list)
    left_out: list[str] = msgspec.field(default_factory=list)


def search_files(root: Path, texts: Texts, tell: Tell = lambda _done, _total: None) -> SearchedFiles:
    """Search every file; `tell` gets (bytes done, bytes in all). A file that vanishes is skipped."""
    searched = SearchedFiles(str(root))
    files = list(_files(root, texts, searched)) if texts.wanted else []
    total = sum(size for _, size in files)
    for path, _ in files:

        def read(size: int) -> None:
            searched.bytes += size
            tell(min(searched.bytes, total), total)

        try:
            _search_file(path, texts, searched, read)
        except FileNotFoundError:
            continue
        except (OSError, EOFError, zlib.error, lzma.LZMAError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
            searched.unread.append(f"{path}: {reason}")
            continue
        searched.files += 1
        searched.folders[_folder(root, path)] += 1
    tell(total, total)
    return searched


def _files(root: Path, texts: Texts, searched: SearchedFiles) -> Iterator[tuple[Path, int]]:
    """Every file and its size, once; links are followed: a disk may be anywhere."""
    seen: set[tuple[int, int]] = set()

    def unread(error: OSError) -> None:
        searched.unread.append(f"{error.filename}: {error.strerror}")

    for folder, folders, names in os.walk(root, followlinks=True, onerror=unread):
        here = Path(folder)
        folders[:] = [name for name in sorted(folders) if _is_new(here / name, seen)]
        for name in sorted(names):
            path = here / name
            try:
                status = path.stat()
            except FileNotFoundError:
                continue
            except OSError as error:
                unread(error)
                continue
            place = (status.st_dev, status.st_ino)
            if place == texts.file:
                searched.left_out.append(str(path))
            elif stat.S_ISREG(status.st_mode) and place not in seen:
                seen.add(place)
                yield path, status.st_size


def _is_new(folder: Path, seen: set[tuple[int, int]]) -> bool:
    """Whether a folder was not yet met: a link may lead back."""
    try:
        status = folder.stat()
    except OSError:
        # Going there tells what is wrong.
        return True
    place = (status.st_dev, status.st_ino)
    if place in seen:
        return False
    seen.add(place)
    return True


def _search_file(path: Path, texts: Texts, searched: SearchedFiles, read: Callable[[int], None]) -> None:
    name = str(path)
    searched.found += search(f"the name of {name}", [os.fsencode(path.name)], texts.wanted, counted=False)
    with path.open("rb") as file:
        searched.found += search(name, _pieces(file, read), texts.wanted)
        file.seek(0)
        begins = file.read(max(map(len, (*UNPACKERS, *SEALED_UP))))
        file.seek(0)
        for mark, unpack in UNPACKERS.items():
            if begins.startswith(mark):
                with unpack(file) as content:
                    searched.found += search(f"{name}, unpacked,", _pieces(content), texts.wanted)
        for mark, kind in SEALED_UP.items():
            if begins.startswith(mark):
                searched.unread.append(f"{name}: it is packed ({kind}); unpack it to have it searched")


def _pieces(file: IO[bytes], read: Callable[[int], None] = lambda _size: None) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece
        read(len(piece))


def _folder(root: Path, path: Path) -> str:
    first, *rest = path.relative_to(root).parts
    return first if rest else "."
