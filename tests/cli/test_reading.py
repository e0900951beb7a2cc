"""What a file becomes: rows, rejects, products, customers and invoices, tallied independently."""

from __future__ import annotations

import csv
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from gateway.cli.importer.classification import ONLINE_RETAIL, PLAIN, Profile, Reason, Rejected
from gateway.cli.importer.columns import column_names
from gateway.cli.importer.command import Import, Rejects
from gateway.cli.importer.invoices import (
    DaySales,
    Group,
    Invoice,
    Need,
    Sales,
    Survey,
    Tally,
    invoices,
    needs,
    one_by_one,
    parted,
    survey,
    together,
)
from gateway.cli.importer.reconciliation import Difference, differences, sales_differences
from gateway.cli.importer.source import Source, Told
from tests.support.online_retail import DECEMBER, tally_by_hand

ROOT = Path(__file__).parents[2]
SAMPLE = ROOT / "gateway" / "cli" / "sample.csv"

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country\n"
ROWS = (
    "1,A,Lamp,2,2010-12-01 10:00,1.50,7,France",
    "2,A,Lamp,1,2010-12-01 11:00,1.50,,France",
    "1,B,Mug,3,2010-12-01 10:01,1.50,7,France",
    "3,B,Mug,4,2011-01-03 10:00,1.25,8,Spain",
)


def write(path: Path, *rows: str) -> Source:
    path.write_text(HEADER + "".join(f"{row}\n" for row in rows))
    return Source(path)


def of(source: Source, profile: Profile = PLAIN, rejects: Path | None = None) -> tuple[Survey, list[Invoice]]:
    """The survey, and the invoices it finds whole."""
    classifier = Import(source=source, rejects=None, currency="GBP", profile=profile).classifier
    found = Survey()
    with Rejects(rejects, source.header) as out:
        for found, row, kind in survey(source, classifier):  # noqa: B007 - the last one is whole
            if isinstance(kind, Rejected):
                out.write(row, kind)
    return found, list(invoices(source, classifier, found))


@pytest.mark.parametrize(
    "file", [SAMPLE, pytest.param(DECEMBER, marks=pytest.mark.slow)], ids=lambda f: f.stem
)
def test_a_files_orders_units_and_revenue_are_those_of_an_independent_tally(file: Path) -> None:
    if not file.exists():
        pytest.skip("the data set is not here")
    found, orders = of(Source(file), ONLINE_RETAIL)
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
    assert found.rejected.keys() <= ONLINE_RETAIL.rules
    assert sum(product.units for product in found.products.values()) == tally.total.units


def test_the_sample_has_a_reject_of_every_usual_kind(tmp_path: Path) -> None:
    found, _ = of(Source(SAMPLE), ONLINE_RETAIL)
    assert found.rejected.keys() == {Reason.CREDIT_NOTE, Reason.CHARGE, Reason.QUANTITY, Reason.PRICE}


def test_an_invoice_is_one_order_whose_lines_at_one_price_are_one_line(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.csv",
        "1,A,Lamp,2,2010-12-01 10:00,1.50,7,France",
        "2,A,Lamp,1,2010-12-01 11:00,1.50,,France",
        "1,A,Lamp,3,2010-12-01 10:01,1.50,7,France",
        "1,A,Lamp,1,2010-12-01 10:02,1.25,7,France",
    )
    _, (second, first) = of(source)
    assert first.order_id == "1"
    assert first.lines == [("A", 125, 1), ("A", 150, 5)]
    assert first.sales == DaySales(1, 6, 875)
    assert second.customer == "guest-FR"


def test_a_files_invoices_are_the_same_in_whichever_order_its_rows_come(tmp_path: Path) -> None:
    _, one = of(write(tmp_path / "one.csv", *ROWS))
    _, other = of(write(tmp_path / "other.csv", *reversed(ROWS)))
    assert sorted((i.order_id, i.placed_at, i.lines) for i in one) == sorted(
        (i.order_id, i.placed_at, i.lines) for i in other
    )


def test_products_have_the_first_description_and_price_seen_and_customers_all_their_countries(
    tmp_path: Path,
) -> None:
    source = write(
        tmp_path / "in.csv",
        "2,A,,1,2010-12-02 10:00,1.50,7,Spain",
        "1,A,Lamp,1,2010-12-01 10:00,2.50,7,France",
        "3,A,LAMP!,1,2010-12-03 10:00,3.50,7,Spain",
    )
    found, _ = of(source)
    product = found.products["A"]
    assert (product.name, product.unit_price, product.units) == ("Lamp", 150, 3)
    assert [buyer.country for buyer in sorted(found.customers["7"].values())] == ["FR", "ES"]


def test_an_invoice_that_is_not_whole_is_not_sold_in_part(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.csv",
        "1,A,Lamp,1,2010-12-01 10:00,1.50,7,France",
        "1,B,Mug,two,2010-12-01 10:00,1.50,7,France",
        "2,A,Lamp,1,2010-12-01 10:00,1.50,7,France",
        "2,B,Mug,1,2010-12-01 10:00,1.50,8,France",
        "3,A,Lamp,1,2010-12-01 10:00,1.50,7,France",
    )
    found, (third,) = of(source, rejects=tmp_path / "rejects.csv")
    assert (third.order_id, found.accepted) == ("3", 1)
    assert found.rejected == {Reason.BAD_ROW: 1, Reason.BAD_INVOICE: 3}
    assert [line["Detail"] for line in rejects_in(tmp_path)] == [
        "bad row in line 3",
        "quantity 'two' is no whole number in digits",
        "line 5 names another customer or country than the lines before it",
        "line 5 names another customer or country than the lines before it",
    ]


def rejects_in(folder: Path) -> list[dict[str, str]]:
    with (folder / "rejects.csv").open() as lines:
        return list(csv.DictReader(lines))


def test_rejected_rows_are_written_with_their_physical_line_and_reason(tmp_path: Path) -> None:
    source = write(
        tmp_path / "in.csv",
        '1,A,"Lamp,\nwhite\r\nand tall",1,2010-12-01 10:00,1.50,7,France',
        "",
        "C2,A,Lamp,-1,2010-12-01 10:00,1.50,7,France",
        ",,,,,,,",
        "3,A",
        '4,A,"La"mp,1,2010-12-01 10:00,1.50,7,France',
        "5,A,Lamp,1,2010-12-01 10:00,1.50,7,France",
    )
    found, orders = of(source, ONLINE_RETAIL, tmp_path / "rejects.csv")
    assert [(each["Line"], each["InvoiceNo"][:2], each["Reason"]) for each in rejects_in(tmp_path)] == [
        ("6", "C2", "credit note"),
        ("8", "3", "bad row"),
        ("9", "4,", "bad row"),
    ]
    assert [order.order_id for order in orders] == ["1", "5"]
    assert found.rows == 5
    assert found.products["A"].name == "Lamp, white and tall"


def test_where_nothing_is_rejected_no_file_is_made(tmp_path: Path) -> None:
    of(write(tmp_path / "in.csv", *ROWS), rejects=tmp_path / "rejects.csv")
    assert not (tmp_path / "rejects.csv").exists()


def test_other_column_names_are_given(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text(
        HEADER.replace("InvoiceNo", "Invoice").replace("CustomerID", "Customer ID") + ROWS[0]
    )
    names = column_names(["InvoiceNo=Invoice, CustomerID=Customer ID"])
    source = Source(tmp_path / "in.csv", Told(columns=names))
    assert [row.named["InvoiceNo"] for row in source.rows() if row.named] == ["1"]


def stock_of(file: Path, *rows: str, placed: set[str]) -> tuple[dict[Group, Need], dict[Group, Need]]:
    _, found = of(write(file, *rows))
    return parted(needs(found, placed))


def test_stock_is_received_for_the_same_invoices_under_the_same_keys_in_whichever_order_they_come(
    tmp_path: Path,
) -> None:
    one, _ = stock_of(tmp_path / "one.csv", *ROWS, placed=set())
    other, _ = stock_of(tmp_path / "other.csv", *reversed(ROWS), placed=set())
    receipts = together(one)
    assert {each.key for each in receipts} == {each.key for each in together(other)}
    assert {each.group: each.quantity for each in receipts} == {
        ("A", "2010-12"): 3,
        ("B", "2010-12"): 3,
        ("B", "2011-01"): 4,
    }


def test_a_file_with_further_invoices_receives_theirs_alone(tmp_path: Path) -> None:
    further = "4,A,Lamp,9,2010-12-07 10:00,1.50,7,France"
    fresh, begun = stock_of(tmp_path / "in.csv", *ROWS, further, placed={"1", "2", "3"})
    assert (list(fresh), list(begun)) == ([], [("A", "2010-12")])
    _, found = of(Source(tmp_path / "in.csv"))
    (receipt,) = one_by_one(found, {"1", "2", "3"}, set(begun))
    assert (receipt.sku, receipt.quantity) == ("A", 9)


def test_nothing_is_received_for_invoices_that_are_orders(tmp_path: Path) -> None:
    assert stock_of(tmp_path / "in.csv", *ROWS, placed={"1", "2", "3"}) == ({}, {})


def test_days_that_differ_are_named_whichever_side_lacks_them() -> None:
    day = DaySales(1, 2, 300)
    first, second, third = (Tally(), Tally(), Tally())
    assert differences(first, second) == []
    one, two = date(2010, 12, 1), date(2010, 12, 2)
    second.add(one, day)
    third.add(one, day)
    third.add(two, day)
    assert differences(second, third) == [Difference(two, DaySales(), day)]
    assert differences(third, second) == [Difference(two, day, DaySales())]


def test_countries_are_named_only_on_days_that_agree_as_a_whole() -> None:
    one, two = date(2010, 12, 1), date(2010, 12, 2)
    sale = DaySales(1, 2, 300)
    ours, theirs = Sales(), Sales()
    for day in (one, two):
        ours.add(day, "FR", sale)
        theirs.add(day, "ES", sale)
    theirs.add(two, "ES", sale)
    assert sales_differences(ours, theirs) == [
        Difference(two, sale, sale + sale),
        Difference(one, sale, DaySales(), "FR"),
    ]
    assert sales_differences(ours, ours) == []
