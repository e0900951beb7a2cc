"""What a row of the file is: a sale with its numbers, or a rejection with its reason."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.classification import (
    ID,
    ONLINE_RETAIL,
    PLAIN,
    Classifier,
    Measures,
    Profile,
    Reading,
    Reason,
    Rejected,
    Sold,
    country_code,
    country_names,
    guest,
    identifier,
    in_country,
)
from gateway.cli.importer.columns import COLUMNS, Dates, DecimalForm, instant
from gateway.cli.importer.source import Row

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
    Denmark;EIRE;Finland;France;Germany;Greece;Hong Kong;Iceland;Israel;Italy;Japan;
    Korea;Lebanon;Lithuania;Malta;Netherlands;Nigeria;Norway;Poland;Portugal;RSA;Saudi Arabia;Singapore;
    Spain;Sweden;Switzerland;Thailand;USA;United Arab Emirates;United Kingdom
"""


def row(**changed: str) -> Row:
    fields = {**LANTERN, **changed}
    return Row(2, tuple(fields[column] for column in COLUMNS), fields)


def kind(profile: Profile, **changed: str) -> Sold | Rejected:
    return Classifier(Reading(digits=2, profile=profile)).classify(row(**changed))


def sold(profile: Profile = ONLINE_RETAIL, **changed: str) -> Sold:
    found = kind(profile, **changed)
    assert isinstance(found, Sold), found
    return found


def rejected(profile: Profile = ONLINE_RETAIL, **changed: str) -> Rejected:
    found = kind(profile, **changed)
    assert isinstance(found, Rejected), found
    return found


def test_a_sale_has_its_price_in_minor_units_and_its_customer_without_the_spreadsheets_decimal() -> None:
    assert sold() == Sold(
        invoice="536365",
        sku="71053",
        description="WHITE METAL LANTERN",
        measures=Measures(6, 339, False, datetime(2010, 12, 1, 8, 26, tzinfo=UTC)),
        customer="17850",
        country="GB",
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
        ({"Country": "Unspecified"}, Reason.NO_COUNTRY),
        ({"Country": "European Community"}, Reason.NO_COUNTRY),
    ],
)
def test_the_uci_data_sets_rules_reject_what_is_no_sale_and_leave_its_invoice_whole(
    changed: dict[str, str], reason: Reason
) -> None:
    found = rejected(ONLINE_RETAIL, **changed)
    assert (found.reason, found.spoils) == (reason, False)
    assert reason in ONLINE_RETAIL.rules


@pytest.mark.parametrize(
    "changed",
    [
        {"InvoiceNo": "CA-123"},
        {"InvoiceNo": "c536379"},
        {"InvoiceNo": "C-1"},
        {"InvoiceNo": "C"},
        {"InvoiceNo": "CASH1"},
        {"StockCode": "TESTER01"},
        {"StockCode": "TEST003"},
        {"StockCode": "ADJUSTABLE"},
        {"StockCode": "post"},
        {"StockCode": "C4"},
        {"StockCode": "gift_0001_50"},
        {"StockCode": "DCGS0076"},
    ],
)
def test_only_the_data_sets_own_codes_mean_something(changed: dict[str, str]) -> None:
    assert isinstance(kind(ONLINE_RETAIL, **changed), Sold)
    assert isinstance(kind(PLAIN, **changed), Sold)


@pytest.mark.parametrize("code", ["POST", "S", "M", "D", "C2", "TEST001", "BANK CHARGES"])
def test_in_other_files_a_code_is_a_code(code: str) -> None:
    assert isinstance(kind(PLAIN, StockCode=code), Sold)
    assert sold(PLAIN, InvoiceNo="C536379").invoice == "C536379"


def test_in_other_files_a_negative_line_leaves_its_invoice_incomplete() -> None:
    """What it takes off the invoice would be missing: the rest alone was never sold."""
    assert rejected(PLAIN, Quantity="-1") == Rejected(Reason.QUANTITY, spoils=True)
    assert rejected(PLAIN, UnitPrice="-5.00") == Rejected(Reason.PRICE, spoils=True)
    assert rejected(PLAIN, UnitPrice="0.00") == Rejected(Reason.PRICE)
    assert not PLAIN.rules


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"Quantity": "two"}, "quantity 'two' is no whole number"),
        ({"Quantity": ""}, "quantity ''"),
        ({"Quantity": "1.5"}, "quantity"),
        ({"Quantity": "1.0"}, "quantity"),
        ({"Quantity": "1_0"}, "quantity"),
        ({"Quantity": "٣"}, "quantity"),
        ({"Quantity": "\uff11\uff12"}, "quantity"),
        ({"Quantity": "²"}, "quantity"),
        ({"Quantity": "1e3"}, "quantity"),
        ({"Quantity": "0x10"}, "quantity"),
        ({"Quantity": "1,000"}, "quantity"),
        ({"Quantity": "1 000"}, "quantity"),
        ({"Quantity": "NaN"}, "quantity"),
        ({"Quantity": "1000001"}, "beyond"),
        ({"Quantity": "9" * 5000}, "quantity"),
        ({"UnitPrice": ""}, "price"),
        ({"UnitPrice": "NaN"}, "price"),
        ({"UnitPrice": "inf"}, "price"),
        ({"UnitPrice": "-Infinity"}, "price"),
        ({"UnitPrice": "1e2"}, "price"),
        ({"UnitPrice": "1_0.00"}, "price"),
        ({"UnitPrice": "٣.50"}, "price"),
        ({"UnitPrice": "£3.50"}, "price"),
        ({"UnitPrice": "3,50"}, "price"),
        ({"UnitPrice": "1,23.00"}, "price"),
        ({"UnitPrice": "1000000000.01"}, "beyond"),
        ({"InvoiceDate": "yesterday"}, "date 'yesterday' is not written year first"),
        ({"InvoiceDate": "2010-02-30 10:00"}, "no date of the calendar"),
        ({"InvoiceDate": "2010-12-01 25:00"}, "no date of the calendar"),
        ({"InvoiceDate": "0001-01-01 00:00+14:00"}, "outside the years"),
        ({"InvoiceDate": "9999-12-31 23:59-14:00"}, "outside the years"),
        ({"InvoiceDate": "1969-12-31 23:59"}, "outside the years"),
        ({"InvoiceDate": "٢٠١٠-12-01"}, "is not written"),
        ({"InvoiceNo": " "}, "InvoiceNo is empty"),
        ({"StockCode": ""}, "StockCode is empty"),
        ({"InvoiceNo": "a\0b"}, "control character"),
        ({"StockCode": "a\x1bb"}, "control character"),
        ({"CustomerID": "1\x002"}, "customer"),
        ({"Description": "LAMP\0"}, "control character"),
        ({"InvoiceNo": "x" * 201}, "more than 200 characters"),
        ({"CustomerID": "00123"}, "customer '00123' is no number"),
        ({"CustomerID": "1E3"}, "customer"),
        ({"CustomerID": "1_00"}, "customer"),
        ({"CustomerID": "١٢٣"}, "customer"),
        ({"CustomerID": "123.5"}, "customer"),
        ({"Country": "UK"}, "--country NAME=CODE"),
        ({"Country": "ZZ"}, "country"),
        ({"Country": "Atlantis"}, "country"),
        ({"Country": ""}, "country"),
    ],
)
def test_a_value_that_cannot_be_meant_makes_a_bad_row_that_says_why(
    changed: dict[str, str], words: str
) -> None:
    found = rejected(ONLINE_RETAIL, **changed)
    assert (found.reason, found.spoils) == (Reason.BAD_ROW, True)
    assert words in found.detail
    assert len(found.detail) < 200


def test_a_row_with_too_few_fields_is_a_bad_row() -> None:
    short = Row(7, ("536365", "71053"), None, "2 fields where the header has 8")
    found = Classifier(Reading(digits=2)).classify(short)
    assert found == Rejected(Reason.BAD_ROW, "2 fields where the header has 8")


def test_different_customers_stay_different() -> None:
    names = [
        "00123",
        "123",
        "0123",
        "123.0",
        "1E3",
        "1000",
        "1_00",
        "100",
        "١٢٣",
        "x1",
        "X1",
        "guest-GB",
        "123--FR",
    ]
    ids = [sold(PLAIN, CustomerID=name).customer for name in names]
    ids += [guest("GB"), in_country("123", "FR")]
    assert len(set(ids)) == len(names) + 2
    assert all(ID.fullmatch(each) for each in ids)
    assert ids[0] == "00123"


def test_goods_whose_codes_differ_in_case_are_different() -> None:
    assert sold(StockCode="15056bl").sku != sold(StockCode="15056BL").sku


def test_canonically_equal_texts_are_one_name() -> None:
    composed, combining = "CAF\u00c9-1", "CAFE\u0301-1"
    assert sold(PLAIN, StockCode=composed).sku == sold(PLAIN, StockCode=combining).sku
    assert sold(Description=combining).description == composed


def test_a_price_more_exact_than_the_currency_is_rounded_half_up_and_marked() -> None:
    measures = sold(UnitPrice="1.005").measures
    assert (measures.unit_price, measures.rounded) == (101, True)
    assert sold(UnitPrice="2.50").measures.rounded is False


def test_a_currency_without_minor_units_keeps_whole_prices() -> None:
    found = Classifier(Reading(digits=0)).classify(row(UnitPrice="250"))
    assert isinstance(found, Sold)
    assert found.measures.unit_price == 250


@pytest.mark.parametrize(
    ("text", "pence"), [("1.234,56", 123456), ("1234,5", 123450), ("1.000", 100000), ("0,05", 5), (",5", 50)]
)
def test_decimal_commas_are_read_where_the_file_has_them(text: str, pence: int) -> None:
    reading = Reading(digits=2, decimal=DecimalForm.COMMA)
    found = Classifier(reading).classify(row(UnitPrice=text))
    assert isinstance(found, Sold)
    assert found.measures.unit_price == pence


def test_a_sale_without_a_customer_has_none() -> None:
    assert sold(CustomerID="").customer == ""


def test_every_country_of_the_data_set_that_is_one_has_a_code() -> None:
    names = [name.strip() for name in UCI_COUNTRIES.replace("\n", "").split(";")]
    codes = {name: sold(ONLINE_RETAIL, Country=name).country for name in names}
    assert len(codes) == 40
    assert (codes["EIRE"], codes["RSA"], codes["Channel Islands"], codes["USA"]) == ("IE", "ZA", "JE", "US")


def test_the_data_sets_names_are_no_countries_elsewhere() -> None:
    assert "EIRE" in rejected(PLAIN, Country="EIRE").detail
    assert sold(PLAIN, Country="gb").country == sold(PLAIN, Country="United Kingdom").country == "GB"


def test_what_the_user_says_of_a_country_counts() -> None:
    reading = Reading(
        digits=2, profile=ONLINE_RETAIL, countries=country_names(["UK=GB", "Unspecified=IE", "=FR"])
    )
    classifier = Classifier(reading)
    found = [classifier.classify(row(Country=name)) for name in ("UK", "unspecified", "")]
    assert [each.country for each in found if isinstance(each, Sold)] == ["GB", "IE", "FR"]


@pytest.mark.parametrize("given", ["UK", "UK=", "UK=UK", "UK=ZZ", "UK=United Kingdom"])
def test_a_country_is_given_an_iso_code_or_the_option_is_refused(given: str) -> None:
    with pytest.raises(CommandFailed, match="--country"):
        country_names([given])
    with pytest.raises(CommandFailed, match="two codes"):
        country_names(["UK=GB", "uk=UA"])


def test_codes_that_the_standard_lacks_are_none() -> None:
    assert [country_code(text) for text in ("UK", "ZZ", "EU", "XW", "AA", "", "G")] == [None] * 7
    assert country_code("Türkiye") == "TR"


@pytest.mark.parametrize(
    ("text", "dates"),
    [
        ("2010-12-01 08:26:00", Dates.ISO),
        ("2010-12-01T10:26:00+02:00", Dates.ISO),
        ("2010/12/1 8:26", Dates.ISO),
        ("12/1/2010 8:26", Dates.MONTH_FIRST),
        ("1/12/2010 08:26", Dates.DAY_FIRST),
        ("01.12.10 08:26", Dates.DAY_FIRST),
        ("12-01-2010 8:26 AM", Dates.MONTH_FIRST),
    ],
)
def test_a_date_is_read_in_the_files_order_and_without_an_offset_is_utc(text: str, dates: Dates) -> None:
    assert instant(text, dates, UTC) == datetime(2010, 12, 1, 8, 26, tzinfo=UTC)


def test_a_time_of_a_zone_is_that_moment_and_one_that_is_there_twice_is_refused() -> None:
    london = ZoneInfo("Europe/London")
    assert instant("2010-07-01 00:30", Dates.ISO, london) == datetime(2010, 6, 30, 23, 30, tzinfo=UTC)
    for text in ("2010-10-31 01:30", "2010-03-28 01:30"):
        with pytest.raises(ValueError, match="twice or not at all"):
            instant(text, Dates.ISO, london)
    assert instant("2010-10-31 01:30+01:00", Dates.ISO, london) == datetime(2010, 10, 31, 0, 30, tzinfo=UTC)


def test_names_that_are_no_ids_get_ids_of_their_own() -> None:
    names = ["A B", "A-B", "A/B", "a b", "ÄB", "Ö", "x" * 65, "x" * 66, "A_B", "-", "_"]
    names += [identifier(name) for name in ("A B", "Ö")]
    ids = {identifier(name) for name in names}
    assert len(ids) == len(names)
    assert all(ID.fullmatch(each) for each in ids)
    assert identifier("A_B") == "A_B"
    assert identifier(" 47503J ") == "47503J"
    assert identifier("501234567890") == "501234567890"
    assert all(ID.fullmatch(in_country(each, "FR")) for each in ids)
