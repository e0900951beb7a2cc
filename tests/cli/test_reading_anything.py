"""Whatever bytes a file has, it is read with every line accounted for, or refused in one line."""

from __future__ import annotations

import csv
import io
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.classification import ONLINE_RETAIL, PLAIN, Profile, Rejected, Sold
from gateway.cli.importer.columns import COLUMNS, Dates, DecimalForm, instant
from gateway.cli.importer.command import Import
from gateway.cli.importer.invoices import invoices, survey
from gateway.cli.importer.source import Source, Told

HEADER = ",".join(COLUMNS) + "\n"
MANY = settings(
    max_examples=300,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

ODD = [
    *(
        "",
        " ",
        '"',
        '""',
        '"a',
        'a"',
        '","',
        "'",
        ",",
        ";",
        "\t",
        "\n",
        "\r",
        "\r\n",
        "\0",
        "\ufeff",
        "\u202e",
    ),
    *("1", "-1", "0", "1.5", "1,5", "1_0", "٣", "1e9", "1e999999999", "NaN", "inf", "9" * 400, "+5", "-0"),
    *("2010-12-01 10:00", "25/12/2010", "12/25/2010", "01/02/2010", "0001-01-01T00:00+14:00"),
    *("9999-12-31T23:59:59.999999-14:00", "2010-02-30", "2010-12-01T10:00:00Z", "24:00"),
    *("C123", "CA-1", "POST", "M", "00123", "123.0", "France", "UK", "Unspecified", "x" * 300),
]
fields = st.one_of(st.sampled_from(ODD), st.text(max_size=12))
odd_rows = st.lists(st.lists(fields, max_size=10), max_size=6)
usual_rows = st.lists(
    st.tuples(
        st.sampled_from(["1", "2", "C3"]),
        st.sampled_from(["A", "B", "POST"]),
        fields,
        st.sampled_from(["1", "2", "-1", "x"]),
        st.sampled_from(["2010-12-01 10:00", "2010-12-02 11:00", "9999-12-31 23:59-14:00"]),
        st.sampled_from(["1.50", "0", "-2.00", "1.005"]),
        st.sampled_from(["", "7", "8", "00123"]),
        st.sampled_from(["France", "GB", "UK"]),
    ),
    max_size=8,
)


def account_for(file: Path, told: Told, profile: Profile) -> None:
    """Read a file to its orders; every record of it is a row that is accepted or rejected."""
    try:
        source = Source(file, told)
    except CommandFailed:
        return
    classifier = Import(source=source, rejects=None, currency="GBP", profile=profile).classifier
    rows, sold, last = 0, 0, 1
    for found, row, kind in survey(source, classifier):  # noqa: B007 - the last one is whole
        rows += 1
        assert row.line > last
        last = row.line
        assert isinstance(kind, (Sold, Rejected))
        sold += isinstance(kind, Sold)
    assert rows == found.rows == found.accepted + found.rejected.total()
    assert sold == found.accepted
    units = sum(sum(invoice.units.values()) for invoice in invoices(source, classifier, found))
    assert units == sum(product.units for product in found.products.values())
    source.close()


told_forms = st.builds(
    Told,
    separator=st.sampled_from([None, ",", ";"]),
    encoding=st.sampled_from([None, None, "utf-8", "windows-1252", "utf-16-le", "shift_jis"]),
    quoted=st.booleans(),
    dates=st.sampled_from([None, *Dates]),
    decimal=st.sampled_from([None, *DecimalForm]),
)


@MANY
@given(content=st.binary(max_size=400), told=told_forms, headed=st.booleans())
@example(content=b"\xff\xfe\x00\xd8", told=Told(), headed=False)
@example(content=b'"', told=Told(), headed=True)
@example(content=b"PK\x03\x04", told=Told(), headed=False)
def test_any_bytes_are_read_or_refused(tmp_path: Path, content: bytes, told: Told, *, headed: bool) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes((HEADER.encode() if headed else b"") + content)
    account_for(file, told, PLAIN)


@MANY
@given(rows=odd_rows, told=told_forms, separator=st.sampled_from([",", ";", "\t"]))
def test_any_rows_are_read_or_refused(
    tmp_path: Path, rows: list[list[str]], told: Told, separator: str
) -> None:
    lines = [HEADER.replace(",", separator), *(separator.join(row) + "\n" for row in rows)]
    file = tmp_path / "in.csv"
    file.write_bytes("".join(lines).encode("utf-8", "surrogatepass"))
    account_for(file, told, ONLINE_RETAIL)


@MANY
@given(rows=usual_rows, quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]))
def test_rows_that_a_csv_writer_writes_are_all_there(
    tmp_path: Path, rows: list[tuple[str, ...]], quoting: int
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, quoting=quoting)  # type: ignore[arg-type] # one of its constants
    writer.writerow(COLUMNS)
    writer.writerows(rows)
    file = tmp_path / "in.csv"
    file.write_text(text.getvalue(), encoding="utf-8", errors="replace", newline="")
    account_for(file, Told(), ONLINE_RETAIL)


@MANY
@given(text=st.one_of(st.sampled_from(ODD), st.text(max_size=30), st.from_regex(r"[0-9T:+Z./ -]{8,30}")))
def test_any_date_is_a_moment_or_none(text: str) -> None:
    for dates in Dates:
        try:
            moment = instant(text, dates, UTC)
        except ValueError:
            continue
        assert 1970 <= moment.year <= 9998


def test_the_examples_reach_orders(tmp_path: Path) -> None:
    """The property above is about something: its usual rows are sold."""
    file = tmp_path / "in.csv"
    file.write_text(HEADER + "1,A,Lamp,1,2010-12-01 10:00,1.50,7,France\n")
    account_for(file, Told(), PLAIN)
    source = Source(file)
    classifier = Import(source=source, rejects=None, currency="GBP").classifier
    *_, (found, _, _) = survey(source, classifier)
    assert found.accepted == 1
    with pytest.raises(CommandFailed):
        Source(tmp_path)
