"""What a file becomes: rows, rejects, products, customers and invoices, tallied independently."""

from __future__ import annotations

import csv
import gzip
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.cli.failure import CommandFailed
from gateway.cli.importer.classification import Reason
from gateway.cli.importer.invoices import Invoice, invoices
from gateway.cli.importer.source import Source, column_names
from gateway.cli.importer.survey import Survey, survey
from gateway.cli.importer.tally import DaySales, Difference, Tally, differences
from tests.online_retail import DECEMBER, tally_by_hand

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "gateway" / "cli" / "sample.csv"

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"


def surveyed(source: Source, rejects: Path) -> Survey:
    *_, found = survey(source, 2, rejects)
    return found


def write(path: Path, *rows: str, encoding: str = "utf-8") -> Source:
    path.write_bytes((HEADER + "".join(f"{row}\n" for row in rows)).encode(encoding))
    return Source(path, {})


def of(source: Source, rejects: Path) -> tuple[Survey, list[Invoice]]:
    found = surveyed(source, rejects)
    return found, list(invoices(source, 2, found.last_row))


@pytest.mark.parametrize(
    "file", [SAMPLE, pytest.param(DECEMBER, marks=pytest.mark.slow)], ids=lambda f: f.stem
)
def test_a_files_orders_units_and_revenue_are_those_of_an_independent_tally(
    file: Path, tmp_path: Path
) -> None:
    if not file.exists():
        pytest.skip("the data set is not here")
    found, orders = of(Source(file, {}), tmp_path / "rejects.csv")
    by_hand, accepted, rejected = tally_by_hand(file)
    tally = Tally()
    for order in orders:
        tally.add(order.placed_at.date(), order.sales)
    ours = {
        day.isoformat(): (sales.orders, sales.units, Decimal(sales.revenue) / 100)
        for day, sales in tally.days.items()
    }
    assert ours == by_hand
    assert (found.accepted, found.rejected.total()) == (accepted, rejected)
    assert found.rows == accepted + rejected
    assert sum(product.units for product in found.products.values()) == tally.total.units


def test_the_sample_has_every_kind_of_reject(tmp_path: Path) -> None:
    assert surveyed(Source(SAMPLE, {}), tmp_path / "rejects.csv").rejected.keys() == set(Reason)


def test_an_invoice_is_one_order_whose_lines_at_one_price_are_one_line(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.csv",
        "1,A,Lamp,2,2010-12-01 10:00,1.50,7,France",
        "2,A,Lamp,1,2010-12-01 11:00,1.50,,France",
        "1,A,Lamp,3,2010-12-01 10:01,1.50,7,France",
        "1,A,Lamp,1,2010-12-01 10:02,1.25,7,France",
    )
    _, (second, first) = of(source, tmp_path / "rejects.csv")
    assert first.order_id == "1"
    assert first.lines == {("A", 150): 5, ("A", 125): 1}
    assert first.sales == DaySales(1, 6, 875)
    assert second.customer_id == "guest-FR"


def test_products_have_the_first_description_and_price_seen_and_customers_the_first_country(
    tmp_path: Path,
) -> None:
    source = write(
        tmp_path / "in.csv",
        "1,A,,1,2010-12-01 10:00,1.50,7,France",
        "1,A,Lamp,1,2010-12-01 10:00,2.50,7,France",
        "2,A,LAMP!,1,2010-12-01 10:00,3.50,7,Spain",
    )
    found = surveyed(source, tmp_path / "rejects.csv")
    assert (found.products["A"].name, found.products["A"].unit_price, found.products["A"].units) == (
        "Lamp",
        150,
        3,
    )
    assert found.customers == {"7": "FR"}


def test_rejected_rows_are_written_with_their_number_and_reason(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.csv",
        "1,A,Lamp,1,2010-12-01 10:00,1.50,7,France",
        "C2,A,Lamp,-1,2010-12-01 10:00,1.50,7,France",
        "3,A",
    )
    surveyed(source, tmp_path / "rejects.csv")
    with (tmp_path / "rejects.csv").open() as lines:
        rejects = list(csv.DictReader(lines))
    assert [(reject["Row"], reject["InvoiceNo"], reject["Reason"]) for reject in rejects] == [
        ("2", "C2", "credit note"),
        ("3", "3", "bad row"),
    ]


def test_other_column_names_are_mapped(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        HEADER.replace("InvoiceNo", "Invoice").replace("CustomerID", "Customer ID")
    )
    source = Source(tmp_path / "in.csv", column_names("InvoiceNo=Invoice, CustomerID=Customer ID"))
    assert list(source.rows()) == []


def test_a_file_from_a_windows_spreadsheet_is_read_as_such(tmp_path: Path) -> None:
    source = write(tmp_path / "in.csv", "1,A,£1 LAMP,1,2010-12-01 10:00,1.50,7,France", encoding="cp1252")
    assert surveyed(source, tmp_path / "rejects.csv").products["A"].name == "£1 LAMP"


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"a,b\n1,2\n", "lacks the column InvoiceNo"),
        (gzip.compress(HEADER.encode() * 100, mtime=0)[:40], "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_in_one_line(
    content: bytes, words: str, tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_bytes(content)
    with pytest.raises(CommandFailed, match=words) as refused:
        Source(tmp_path / "in.csv", {})
    assert "\n" not in str(refused.value)


def test_days_that_differ_are_named_whichever_side_lacks_them() -> None:
    day = DaySales(1, 2, 300)
    first, second, third = (Tally.of({}), Tally.of({}), Tally.of({}))
    assert differences(first, second) == []
    one, two = date(2010, 12, 1), date(2010, 12, 2)
    second.add(one, day)
    third.add(one, day)
    third.add(two, day)
    assert differences(second, third) == [Difference(two, DaySales(), day)]
    assert differences(third, second) == [Difference(two, day, DaySales())]
