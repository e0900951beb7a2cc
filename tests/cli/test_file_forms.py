"""How a file is written is found out for the whole of it; what it leaves open is asked for by an option."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from io import BytesIO
from pathlib import Path

import pytest

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.columns import Dates, DecimalForm, column_names
from gateway.cli.importer.source import Row, Source, Told, separator_of

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
ROW = "1,A,Lamp,1,2010-12-01 10:00,1.50,7,France"


def written(path: Path, *lines: str, encoding: str = "utf-8", end: str = "\n") -> Path:
    path.write_bytes("".join(f"{line}{end}" for line in lines).encode(encoding))
    return path


def dated(path: Path, *dates: str) -> Path:
    rows = (f"{number},A,Lamp,1,{date},1.50,7,France" for number, date in enumerate(dates))
    return written(path, HEADER, *rows)


def priced(path: Path, *prices: str) -> Path:
    rows = (f"{number};A;Lamp;1;2010-12-01;{price};7;France" for number, price in enumerate(prices))
    return written(path, HEADER.replace(",", ";"), *rows)


def rows_of(path: Path, told: Told | None = None) -> list[Row]:
    return list(Source(path, told).rows())


def refusal(path: Path, told: Told | None = None) -> str:
    with pytest.raises(CommandFailed) as refused:
        Source(path, told)
    assert "\n" not in str(refused.value)
    assert len(str(refused.value)) < 600
    return str(refused.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "in.csv"


@pytest.mark.parametrize(
    ("encoding", "said"),
    [
        ("utf-8", "UTF-8,"),
        ("utf-8-sig", "UTF-8 with its mark"),
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
    ],
)
def test_a_file_is_read_in_the_encoding_that_its_mark_says(file: Path, encoding: str, said: str) -> None:
    source = Source(written(file, HEADER, ROW.replace("Lamp", "£1 LAMP \u2013 ü"), encoding=encoding))
    (row,) = source.rows()
    assert row.named is not None
    assert row.named["Description"] == "£1 LAMP \u2013 ü"
    assert source.said.startswith(said)


def test_a_file_in_another_encoding_is_refused_until_it_is_said_which(file: Path) -> None:
    written(file, HEADER, ROW, ROW.replace("Lamp", "£1 LAMP"), encoding="windows-1252")
    words = refusal(file)
    offset = len(HEADER) + 1 + len(ROW) + 1 + 4
    assert f"is not UTF-8: line 3, byte offset {offset}: byte 0xA3" in words
    assert "--encoding" in words
    (_, row) = rows_of(file, Told(encoding="windows-1252"))
    assert row.named is not None
    assert row.named["Description"] == "£1 LAMP"


@pytest.mark.parametrize("position", [0, 1, 2])
def test_one_bad_byte_in_a_file_of_utf_8_is_told_and_changes_nothing_else(file: Path, position: int) -> None:
    """Wherever it is, the header included: the file is not taken for one in another encoding."""
    lines = [line.encode() for line in (HEADER, ROW.replace("Lamp", "Café"), ROW.replace("Lamp", "Tür"))]
    lines[position] = lines[position][:7] + b"\xff" + lines[position][7:]
    file.write_bytes(b"\r\n".join(lines))
    offset = sum(len(line) + 2 for line in lines[:position]) + 7
    assert f"line {position + 1}, byte offset {offset}: byte 0xFF" in refusal(file)


def test_a_bad_byte_far_into_a_large_file_is_named_by_its_line(file: Path) -> None:
    row = ROW.replace("Lamp", "Tür") + "\n"
    content = (HEADER + "\n" + row * 60_000).encode()
    file.write_bytes(content[:-20] + b"\xc3" + content[-20:])
    assert f"line 60001, byte offset {len(content) - 20}" in refusal(file)


def test_a_file_that_ends_within_a_character_is_refused(file: Path) -> None:
    file.write_bytes((HEADER + "\n" + ROW).encode() + b"\xe2\x82")
    assert "line 2, byte offset" in refusal(file)
    written(file, HEADER, ROW, encoding="utf-16")
    file.write_bytes(file.read_bytes()[:-1])
    assert "is not UTF-16" in refusal(file)


def test_utf_16_without_its_mark_is_asked_for(file: Path) -> None:
    written(file, HEADER, ROW, encoding="utf-16-le")
    assert "--encoding utf-16-le" in refusal(file)
    assert len(rows_of(file, Told(encoding="utf-16-le"))) == 1


@pytest.mark.parametrize("name", ["", "utf-9", "rot13", "zlib", "base64", "unicode_escape", "idna", "a\0b"])
def test_an_encoding_that_is_none_of_texts_is_refused(file: Path, name: str) -> None:
    assert "--encoding" in refusal(written(file, HEADER, ROW), Told(encoding=name))


def test_an_encoding_that_the_files_mark_contradicts_is_refused(file: Path) -> None:
    written(file, HEADER, ROW, encoding="utf-8-sig")
    assert "mark of utf-8" in refusal(file, Told(encoding="windows-1252"))
    assert len(rows_of(file, Told(encoding="utf-8"))) == 1


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_the_separator_is_the_one_that_parts_the_header(file: Path, separator: str) -> None:
    lines = [line.replace(",", separator) for line in (HEADER, ROW)]
    (row,) = rows_of(written(file, *lines))
    assert row.named is not None
    assert row.named["Country"] == "France"


def test_a_spreadsheets_declaration_of_the_separator_is_read(file: Path) -> None:
    lines = [line.replace(",", ";") for line in (HEADER, ROW)]
    assert [row.line for row in rows_of(written(file, "sep=;", *lines, end="\r\n"))] == [3]


def test_any_other_separator_is_given(file: Path) -> None:
    lines = [line.replace(",", "^") for line in (HEADER, ROW)]
    assert "--separator" in refusal(written(file, *lines))
    assert len(rows_of(file, Told(separator=separator_of("^")))) == 1
    assert (separator_of("tab"), separator_of("Semicolon"), separator_of(None)) == ("\t", ";", None)
    for wrong in ("", "ab", '"', "\n", "x", "1"):
        with pytest.raises(CommandFailed, match="--separator"):
            separator_of(wrong)


def test_physical_lines_are_counted_whatever_ends_them(file: Path) -> None:
    for end in ("\n", "\r\n", "\r"):
        rows = rows_of(written(file, HEADER, "", '1,A,"La\nmp",1,2010-12-01,1.50,7,France', ROW, end=end))
        assert [row.line for row in rows] == [3, 5]


@pytest.mark.parametrize(
    "rows",
    [
        # It is never closed.
        [ROW, '2,A,"Lamp,1,2010-12-01 10:00,1.50,7,France', ROW, ROW],
        [ROW, '2,A,Lamp,1,2010-12-01 10:00,1.50,7,"France'],
        # What closes it is another field's.
        [
            ROW,
            '2,A,"Lamp,1,2010-12-01 10:00,1.50,7,France',
            ROW,
            '4,A,"RED, LAMP",1,2010-12-01,1.50,7,France',
        ],
        [ROW, '2,A,"Lamp,1,2010-12-01 10:00,1.50,7,France', '4,A,LAMP 10",1,2010-12-01,1.50,7,France'],
        [ROW, '"2,A,Lamp,1,2010-12-01 10:00,1.50,7,France', ROW, '4",A,LAMP,1,2010-12-01,1.50,7,France'],
        [ROW, '2,A,Lamp,1,2010-12-01 10:00,1.50,7,"France', '4,A,LAMP,1,2010-12-01,1.50,7,France"'],
        [
            ROW,
            '2,A,"Lamp,1,2010-12-01 10:00,1.50,7,France',
            *[ROW] * 500,
            '4,A,LAMP",1,2010-12-01,1.50,7,France',
        ],
    ],
)
def test_a_quote_that_is_not_closed_is_told_by_the_line_it_begins_on_and_swallows_nothing(
    file: Path, rows: list[str]
) -> None:
    assert "the quote opened in line 3 is not closed" in refusal(written(file, HEADER, *rows))


def test_quotes_that_mean_nothing_are_said_to(file: Path) -> None:
    written(file, HEADER, '2,A,"10 inch lamp,1,2010-12-01 10:00,1.50,7,France', ROW)
    assert "--quote none" in refusal(file)
    first, _ = rows_of(file, Told(quoted=False))
    assert first.named is not None
    assert first.named["Description"] == '"10 inch lamp'


def test_a_line_or_a_field_longer_than_any_is_not_read_whole(file: Path) -> None:
    assert "more than 1,000,000 characters" in refusal(written(file, HEADER, ROW, "x" * 3_000_000))
    _, row = rows_of(written(file, HEADER, ROW, ROW.replace("Lamp", "x" * 20_000)))
    assert (row.line, row.named) == (3, None)
    assert "field larger than field limit" in row.problem


@pytest.mark.parametrize(
    ("dates", "found"),
    [
        (["2010-12-01 10:00", "2010/12/02"], Dates.ISO),
        (["01/12/2010 10:00", "25/12/2010"], Dates.DAY_FIRST),
        (["12/1/2010 8:26", "12/13/2010 8:26"], Dates.MONTH_FIRST),
        (["01.12.2010", "13.12.2010"], Dates.DAY_FIRST),
        (["01/01/2010", "02/02/2010"], Dates.DAY_FIRST),
        (["yesterday", "25/12/2010"], Dates.DAY_FIRST),
        (["13/13/2010", "12/25/2010"], Dates.MONTH_FIRST),
    ],
)
def test_the_order_of_dates_is_decided_by_the_whole_column(
    file: Path, dates: list[str], found: Dates
) -> None:
    assert Source(dated(file, *dates)).dates is found


@pytest.mark.parametrize(
    ("dates", "words"),
    [
        (["01/12/2010", "02/12/2010"], "no date tells the day from the month: '01/12/2010' in line 2"),
        (
            ["25/12/2010", "12/25/2010"],
            "change places between '25/12/2010' in line 2 and '12/25/2010' in line 3",
        ),
        (["2010-12-01", "25/12/2010"], "written as '2010-12-01' in line 2 and as '25/12/2010' in line 3"),
        (["25/12/10"], "two digits"),
    ],
)
def test_dates_that_may_be_read_in_two_ways_are_asked_for(file: Path, dates: list[str], words: str) -> None:
    refused = refusal(dated(file, *dates))
    assert words in refused
    assert "--dates dmy" in refused
    assert Source(file, Told(dates=Dates.DAY_FIRST)).dates is Dates.DAY_FIRST


@pytest.mark.parametrize(
    ("prices", "found"),
    [
        (["1.50", "2"], DecimalForm.POINT),
        (["1,50", "2"], DecimalForm.COMMA),
        (["1.234,56"], DecimalForm.COMMA),
        (["1,234.56", "1,234"], DecimalForm.POINT),
        (["1.234", "0,5"], DecimalForm.COMMA),
        (["0.001", "1.234"], DecimalForm.POINT),
        (["12", "7"], DecimalForm.POINT),
    ],
)
def test_the_decimal_character_is_decided_by_the_whole_column(
    file: Path, prices: list[str], found: DecimalForm
) -> None:
    assert Source(priced(file, *prices)).decimal is found


@pytest.mark.parametrize("prices", [["1.234", "2.500"], ["1,234"], ["1,50", "1.50"]])
def test_prices_that_may_be_read_in_two_ways_are_asked_for(file: Path, prices: list[str]) -> None:
    assert "--decimal point or --decimal comma" in refusal(priced(file, *prices))
    assert Source(file, Told(decimal=DecimalForm.COMMA)).decimal is DecimalForm.COMMA


@pytest.mark.parametrize(
    ("header", "columns", "words"),
    [
        (HEADER.replace("UnitPrice", "Price"), [], "lacks the column UnitPrice; its header has 'InvoiceNo'"),
        (HEADER + ",Country", [], "has the column 'Country' 2 times"),
        (HEADER, ["Country=CustomerID"], "'CustomerID' would be CustomerID and Country"),
        (HEADER, ["Country=Land"], "lacks the column Land"),
        ("a,b", [], "lacks the column InvoiceNo"),
        (ROW, [], "lacks the column"),
    ],
)
def test_a_header_that_lacks_a_column_or_has_it_twice_is_refused(
    file: Path, header: str, columns: list[str], words: str
) -> None:
    assert words in refusal(written(file, header, ROW), Told(columns=column_names(columns)))


@pytest.mark.parametrize(
    "given",
    [
        ["Price=x"],
        ["UnitPrice"],
        ["UnitPrice="],
        ["UnitPrice=a", "UnitPrice=b"],
        ["UnitPrice=a,Country=a"],
        [""],
    ],
)
def test_a_column_is_given_once_and_by_one_header(given: list[str]) -> None:
    with pytest.raises(CommandFailed, match="--column"):
        column_names(given)


def test_a_headers_name_may_have_commas() -> None:
    given = ["UnitPrice=Price, each", "InvoiceNo=No,Country=Land, state"]
    assert column_names(given) == {"UnitPrice": "Price, each", "InvoiceNo": "No", "Country": "Land, state"}


def zipped() -> bytes:
    content = BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("in.csv", HEADER)
    return content.getvalue()


GZIPPED = gzip.compress(f"{HEADER}\n{ROW}\n".encode() * 100, mtime=0)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (HEADER.encode(), "no rows"),
        (f"{HEADER}\n\n,,,,,,,\n".encode(), "no rows"),
        (zipped(), "ZIP archive or an XLSX"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(100), "XLS workbook"),
        (bz2.compress(HEADER.encode()), "bunzip2"),
        (lzma.compress(HEADER.encode()), "unxz"),
        (gzip.compress(GZIPPED, mtime=0), "packed twice"),
        (gzip.compress(b"", mtime=0), "is empty"),
        (GZIPPED[:40], "cannot be read"),
        (GZIPPED[:-6] + b"\0" * 6, "cannot be read"),
        (GZIPPED + b"more", "cannot be read"),
        (b"\x7fELF" + bytes(100), "a program"),
        (bytes(range(256)) * 10, "is no"),
        (bytes(1000), "is no text"),
        (b"<html><body>Not found</body></html>", "no header"),
        (b'{"InvoiceNo": 1}', "no header"),
    ],
    # Every process that collects these must call them the same, and a ZIP archive tells when it was made.
    ids=lambda given: given if isinstance(given, str) else "",
)
def test_a_file_that_is_none_of_sales_is_refused_in_one_line(file: Path, content: bytes, words: str) -> None:
    file.write_bytes(content)
    assert words in refusal(file)


def test_a_folder_a_device_and_no_file_at_all_are_refused(tmp_path: Path) -> None:
    assert "is a folder" in refusal(tmp_path)
    assert "no regular file" in refusal(Path("/dev/zero"))
    assert "No such file" in refusal(tmp_path / "absent.csv")
    assert "cannot be read" in refusal(tmp_path / ("x" * 300))


def test_a_packed_file_is_read_like_one_that_is_not(file: Path) -> None:
    file.write_bytes(GZIPPED)
    assert len(rows_of(file)) == 199


def test_what_is_read_stays_when_the_file_changes_and_the_change_is_noticed(file: Path) -> None:
    source = Source(written(file, HEADER, ROW))
    assert not source.changed
    with file.open("a") as more:
        more.write(f"{ROW}\n")
    assert (len(list(source.rows())), source.changed) == (1, True)
    source = Source(file)
    written(file.with_suffix(".new"), HEADER, ROW, ROW).replace(file)
    assert source.changed
    file.unlink()
    assert (len(list(source.rows())), source.changed) == (2, True)
