"""What a row of the file is: a sale with its numbers, or a rejection with its reason."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from gateway.cli.importer.classification import Measures, Reason, Rejected, Sold, classify, instant
from gateway.cli.importer.countries import country_code
from gateway.cli.importer.identifiers import ID, identifier
from gateway.cli.importer.source import COLUMNS, Row

LANTERN = {
    "InvoiceNo": "536365",
    "StockCode": "71053",
    "Description": "WHITE METAL LANTERN",
    "Quantity": "6",
    "InvoiceDate": "2010-12-01 08:26:00",
    "UnitPrice": "3.39",
    "CustomerID": "17850.0",
    "Country": "United Kingdom",
}

UCI_COUNTRIES = """
    Australia;Austria;Bahrain;Belgium;Bermuda;Brazil;Canada;Channel Islands;Cyprus;Czech Republic;
    Denmark;EIRE;European Community;Finland;France;Germany;Greece;Hong Kong;Iceland;Israel;Italy;Japan;
    Korea;Lebanon;Lithuania;Malta;Netherlands;Nigeria;Norway;Poland;Portugal;RSA;Saudi Arabia;Singapore;
    Spain;Sweden;Switzerland;Thailand;USA;United Arab Emirates;United Kingdom;Unspecified;West Indies
"""


def row(**changed: str) -> Row:
    fields = {**LANTERN, **changed}
    return Row(1, tuple(fields[column] for column in COLUMNS), fields)


def sold(**changed: str) -> Sold:
    kind = classify(row(**changed), 2)
    assert isinstance(kind, Sold), kind
    return kind


def rejected(**changed: str) -> Rejected:
    kind = classify(row(**changed), 2)
    assert isinstance(kind, Rejected), kind
    return kind


def test_a_sale_has_its_price_in_minor_units_and_its_customer_without_the_spreadsheets_decimal() -> None:
    assert sold() == Sold(
        invoice="536365",
        sku="71053",
        description="WHITE METAL LANTERN",
        measures=Measures(6, 339, False, datetime(2010, 12, 1, 8, 26, tzinfo=UTC)),
        customer="17850",
        country="GB",
        country_name="",
    )


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"InvoiceNo": "C536379", "Quantity": "-1"}, Reason.CREDIT_NOTE),
        ({"InvoiceNo": "C536379", "StockCode": "D"}, Reason.CREDIT_NOTE),
        ({"StockCode": "POST"}, Reason.CHARGE),
        ({"StockCode": "DOT"}, Reason.CHARGE),
        ({"StockCode": "M"}, Reason.CHARGE),
        ({"StockCode": "m"}, Reason.CHARGE),
        ({"StockCode": "C2"}, Reason.CHARGE),
        ({"StockCode": "BANK CHARGES"}, Reason.CHARGE),
        ({"StockCode": "AMAZONFEE"}, Reason.CHARGE),
        ({"StockCode": "TEST001"}, Reason.CHARGE),
        ({"Quantity": "0"}, Reason.QUANTITY),
        ({"Quantity": "-10", "UnitPrice": "0.0"}, Reason.QUANTITY),
        ({"UnitPrice": "0.0"}, Reason.PRICE),
        ({"UnitPrice": "-11062.06"}, Reason.PRICE),
        ({"UnitPrice": "0.001"}, Reason.PRICE),
        ({"Quantity": "two"}, Reason.BAD_ROW),
        ({"Quantity": "1.5"}, Reason.BAD_ROW),
        ({"Quantity": "1e999999999"}, Reason.BAD_ROW),
        ({"Quantity": "1000001"}, Reason.BAD_ROW),
        ({"UnitPrice": ""}, Reason.BAD_ROW),
        ({"UnitPrice": "NaN"}, Reason.BAD_ROW),
        ({"InvoiceDate": "yesterday"}, Reason.BAD_ROW),
        ({"InvoiceNo": " "}, Reason.BAD_ROW),
        ({"StockCode": ""}, Reason.BAD_ROW),
    ],
)
def test_a_row_that_is_no_sale_is_rejected_for_its_reason(changed: dict[str, str], reason: Reason) -> None:
    assert rejected(**changed).reason == reason


def test_a_row_with_too_few_fields_is_a_bad_row() -> None:
    assert classify(Row(1, ("536365", "71053"), None), 2) == Rejected(Reason.BAD_ROW, "2 fields")


def test_goods_with_unusual_codes_are_sold() -> None:
    assert sold(StockCode="gift_0001_50").sku == "gift_0001_50"
    assert sold(StockCode="DCGS0076").sku == "DCGS0076"
    assert sold(StockCode="15056bl").sku != sold(StockCode="15056BL").sku


def test_a_price_more_exact_than_the_currency_is_rounded_half_up_and_marked() -> None:
    measures = sold(UnitPrice="1.005").measures
    assert (measures.unit_price, measures.rounded) == (101, True)
    assert sold(UnitPrice="2.50").measures.rounded is False


def test_a_currency_without_minor_units_keeps_whole_prices() -> None:
    kind = classify(row(UnitPrice="250"), 0)
    assert isinstance(kind, Sold)
    assert kind.measures.unit_price == 250


def test_a_sale_without_a_customer_has_none() -> None:
    assert sold(CustomerID="").customer == ""


def test_every_country_of_the_data_set_has_a_code() -> None:
    names = [name.strip() for name in UCI_COUNTRIES.replace("\n", "").split(";")]
    assert len(names) == 43
    codes = {name: country_code(name) for name in names}
    assert None not in codes.values()
    assert (codes["EIRE"], codes["RSA"], codes["Unspecified"]) == ("IE", "ZA", "ZZ")


def test_an_unknown_country_counts_as_zz_and_keeps_its_name_for_the_report() -> None:
    kind = sold(Country="Atlantis")
    assert (kind.country, kind.country_name) == ("ZZ", "Atlantis")


@pytest.mark.parametrize("text", ["2010-12-01 08:26:00", "12/1/2010 8:26", "2010-12-01T10:26:00+02:00"])
def test_a_date_is_read_as_iso_or_as_the_spreadsheet_writes_it_and_is_utc(text: str) -> None:
    assert instant(text) == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def test_names_that_are_no_ids_get_ids_of_their_own() -> None:
    names = ["A B", "A-B", "A/B", "a b", "ÄB", "Ö", "x" * 65, "x" * 66, "A_B"]
    ids = {identifier(name) for name in names}
    assert len(ids) == len(names)
    assert all(ID.fullmatch(each) for each in ids)
    assert identifier("A_B") == "A_B"
    assert identifier(" 47503J ") == "47503J"
