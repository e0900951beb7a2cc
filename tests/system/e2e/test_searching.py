"""Texts are found in files however they were written: or the silence of the search would mean nothing."""

from __future__ import annotations

import bz2
import gzip
import lzma
from base64 import b64encode, urlsafe_b64encode
from pathlib import Path
from unicodedata import normalize

import pytest

from gateway.cli.erasure.command import folders
from gateway.cli.erasure.files import PIECE, search_files
from gateway.cli.erasure.search_terms import read_texts
from infra.settings import Settings

NAME = "Zoë Nobody-Else"
FORMS = {
    "UTF-8": NAME.encode(),
    "decomposed": normalize("NFD", NAME).encode(),
    "JSON": b"Zo\\u00eb Nobody-Else",
    "JSON, capital": b"Zo\\u00EB Nobody-Else",
    "UTF-16, little end first": NAME.encode("utf-16-le"),
    "UTF-16, big end first": NAME.encode("utf-16-be"),
    "Latin-1": NAME.encode("latin-1"),
    "path": b"Zo%C3%AB%20Nobody-Else",
    "form": b"Zo%C3%AB+Nobody-Else",
    "SQL dump": b"\\x5a6fc3ab204e6f626f64792d456c7365",
    "base64": b64encode(f"xx {NAME} xx".encode()),
    "base64 in a URL": urlsafe_b64encode(f"xx {NAME} xx".encode()),
    "gzip": gzip.compress(b"a log of last week: " + NAME.encode()),
    "bzip2": bz2.compress(NAME.encode()),
    "xz": lzma.compress(b"." * 1_000 + NAME.encode()),
}


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """A file that names what to look for."""
    file = tmp_path / "texts"
    file.write_text(f"\n{NAME}\n")
    return file


@pytest.mark.parametrize("written", FORMS.values(), ids=FORMS)
def test_a_text_is_found_however_it_was_written(tmp_path: Path, texts: Path, written: bytes) -> None:
    (tmp_path / "data" / "logs").mkdir(parents=True)
    (tmp_path / "data" / "logs" / "left").write_bytes(written)
    searched = search_files(tmp_path / "data", read_texts(texts))
    assert [(item.line, item.place.partition(",")[0]) for item in searched.found] == [
        (2, str(tmp_path / "data" / "logs" / "left"))
    ]
    assert (searched.files, searched.folders) == (1, {"logs": 1})


def test_a_text_is_found_wherever_in_a_file_it_is(tmp_path: Path, texts: Path) -> None:
    """Also where it is cut in two by how much is read at once."""
    for offset in (0, PIECE - 3, 2 * PIECE):
        (tmp_path / "data").mkdir(exist_ok=True)
        (tmp_path / "data" / "large").write_bytes(b"." * offset + NAME.encode() + b"." * 9)
        (found,) = search_files(tmp_path / "data", read_texts(texts)).found
        assert found.offset == offset


def test_names_of_files_and_what_links_lead_to_are_searched(tmp_path: Path, texts: Path) -> None:
    """A disk may be anywhere; a link that leads back leads nowhere."""
    data, disk = tmp_path / "data", tmp_path / "disk"
    data.mkdir()
    disk.mkdir()
    (disk / f"{NAME}.txt").write_text("nothing")
    (disk / "back").symlink_to(data)
    (data / "mongo").symlink_to(disk)
    (data / "gone").symlink_to(tmp_path / "nowhere")
    searched = search_files(data, read_texts(texts))
    assert [item.place for item in searched.found] == [f"the name of {data / 'mongo' / NAME}.txt"]
    assert (searched.files, searched.unread) == (1, [])


def test_what_cannot_be_looked_into_is_told(tmp_path: Path, texts: Path) -> None:
    """Whoever packed it may not call it searched."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "backup.zst").write_bytes(b"\x28\xb5\x2f\xfd????")
    (tmp_path / "data" / "torn.gz").write_bytes(gzip.compress(b"all of it")[:-9])
    packed, torn = sorted(search_files(tmp_path / "data", read_texts(texts)).unread)
    assert "backup.zst: it is packed (zstd)" in packed
    assert "torn.gz: " in torn


def test_the_file_that_names_the_texts_is_left_out(tmp_path: Path, texts: Path) -> None:
    searched = search_files(tmp_path, read_texts(texts))
    assert (searched.found, searched.left_out) == ([], [str(texts)])


def test_stores_that_are_files_elsewhere_are_searched_there(tmp_path: Path) -> None:
    data, elsewhere = tmp_path / "data", tmp_path / "elsewhere"
    assert folders(Settings(data=data)) == [data]
    assert folders(Settings(data=data, store=f"sqlite:{data / 'stores'}")) == [data]
    assert folders(Settings(data=data, store=f"sqlite:{elsewhere}")) == [data, elsewhere]
