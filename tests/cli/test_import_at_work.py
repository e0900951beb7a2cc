"""`orderfold import` into a running shop: what is sold and received once, and what is told of the rest."""

from __future__ import annotations

import csv
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.cli.conftest import RunningStack, command, environment, wait_until

pytestmark = pytest.mark.slow

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStack]:
    """A stack that has sold nothing yet, shared by the tests: each sells its own products on its own days."""
    running = RunningStack(tmp_path_factory.mktemp("stack") / "data")
    try:
        running.says("orderfold is ready")
        yield running
    finally:
        running.stop()


class Importing:
    """Imports of one file after another, and the shop's own word for what came of them."""

    def __init__(self, stack: RunningStack, folder: Path) -> None:
        self._stack = stack
        self._folder = folder
        token = stack.run("token").stdout.strip()
        self._http = httpx.Client(
            base_url=stack.url, headers={"Authorization": f"Bearer {token}"}, timeout=60
        )

    def __call__(self, *rows: str, status: int = 0, options: tuple[str, ...] = ("--currency", "GBP")) -> str:
        """Import rows; what is printed."""
        file = self._folder / "in.csv"
        file.write_text("\n".join([HEADER, *rows, ""]))
        result = self._stack.run("import", str(file), *options, cwd=self._folder)
        assert result.returncode == status, result.stdout + result.stderr
        assert "Traceback" not in result.stderr
        return result.stdout + result.stderr

    def get(self, path: str, **query: str) -> Any:
        """What the shop answers."""
        answer = self._http.get(path, params=query)
        return answer.json() if answer.is_success else None

    def post(self, path: str, **body: object) -> None:
        """Have the shop do something."""
        answer = self._http.post(path, json=body)
        assert answer.is_success, answer.text

    def on_hand(self, *skus: str) -> list[int]:
        """Units of each product that were received, as far as the shop knows."""
        found = (self.get(f"/v1/stock/{sku}") for sku in skus)
        return [each["on_hand"] if each else 0 for each in found]

    def sold(self, day: str, country: str) -> int:
        """Pence that a day sold to a country."""
        items = self.get("/v1/sales/daily", **{"from": day, "to": day, "country": country})["items"]
        return sum(item["revenue"]["GBP"] for item in items)


@pytest.fixture
def importing(stack: RunningStack, tmp_path: Path) -> Importing:
    return Importing(stack, tmp_path)


def test_a_sorted_or_larger_file_receives_only_what_it_did_not_receive_before(importing: Importing) -> None:
    rows = [
        "S1,SORT-A,Lamp,2,2021-03-01 10:00,1.50,7,France",
        "S1,SORT-B,Mug,3,2021-03-01 10:01,1.50,7,France",
        "S2,SORT-A,Lamp,4,2021-03-02 10:00,1.50,8,France",
    ]
    importing(*rows)
    assert importing.on_hand("SORT-A", "SORT-B") == [6, 3]
    importing(*reversed(rows))
    assert importing.on_hand("SORT-A", "SORT-B") == [6, 3]
    importing("S0,SORT-A,Lamp,5,2021-03-03 10:00,1.50,8,France", *rows)
    importing(*rows, "S0,SORT-A,Lamp,5,2021-03-03 10:00,1.50,8,France")
    assert importing.on_hand("SORT-A", "SORT-B") == [11, 3]
    # Another file, of other invoices alone, of the same month.
    importing("S9,SORT-B,Mug,1,2021-03-09 10:01,1.50,7,France")
    assert importing.on_hand("SORT-A", "SORT-B") == [11, 4]


def test_a_killed_import_that_is_run_again_receives_everything_once(
    stack: RunningStack, importing: Importing, tmp_path: Path
) -> None:
    rows = [f"K{n},KILL-{n % 3},Thing,2,2021-04-01 10:{n:02}:00,1.25,{70 + n % 5},France" for n in range(30)]
    file = tmp_path / "killed.csv"
    file.write_text("\n".join([HEADER, *rows, ""]))
    process = subprocess.Popen(
        command("import", str(file), "--currency", "GBP", "--concurrency", "1", "--data", str(stack.folder)),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env=environment(),
        cwd=tmp_path,
    )
    wait_until(lambda: importing.get("/v1/orders/K3") is not None)
    process.kill()
    process.wait()
    told = importing(*rows)
    assert "reconciled" in told
    assert importing.on_hand("KILL-0", "KILL-1", "KILL-2") == [20, 20, 20]


def test_a_changed_invoice_is_told_as_a_difference_and_neither_sold_nor_received_again(
    importing: Importing,
) -> None:
    row = "CH1,CHANGE,Lamp,2,2021-05-01 10:00,1.50,7,France"
    importing(row)
    told = importing(row.replace(",2,", ",3,"), status=1)
    assert "changed since they were placed: 1" in told
    assert "CH1  2 of CHANGE at 1.50, in the file 3" in told
    assert "2021-05-01  file 1 orders, 3 units, 4.50; shop 1 orders, 2 units, 3.00" in told
    assert "reconciled" not in told
    assert importing.on_hand("CHANGE") == [2]
    told = importing(row.replace(",7,", ",9,"), status=1)
    assert "CH1  customer 7, in the file 9" in told
    # On days that agree nothing is said.
    assert "days that differ" not in told


def test_a_file_in_another_currency_than_the_products_is_refused_whole(importing: Importing) -> None:
    importing("EU1,EURO-A,Lamp,1,2021-06-01 10:00,10.00,7,France")
    rows = [
        "EU2,EURO-NEW,Mug,1,2021-06-02 10:00,10.00,7,France",
        "EU3,EURO-A,Lamp,1,2021-06-02 10:00,10.00,7,France",
    ]
    told = importing(*rows, status=2, options=("--currency", "EUR"))
    assert "product EURO-A is sold in GBP and the file is in EUR" in told
    assert importing.get("/v1/products/EURO-NEW") is None
    assert importing.get("/v1/orders/EU3") is None
    assert importing.on_hand("EURO-A") == [1]


def test_a_customer_of_two_countries_counts_in_both(importing: Importing) -> None:
    rows = [
        "T2,TWO,Lamp,1,2021-07-01 12:00,2.00,two-homes,Cyprus",
        "T1,TWO,Lamp,1,2021-07-01 10:00,1.00,two-homes,Austria",
        "T3,TWO,Lamp,1,2021-07-01 10:00,4.00,two-homes,Austria",
    ]
    told = importing(*rows)
    assert "two-homes--CY  two-homes" in told
    assert (importing.sold("2021-07-01", "AT"), importing.sold("2021-07-01", "CY")) == (500, 200)
    assert importing.get("/v1/customers/two-homes")["address"]["country"] == "AT"
    # A later file, of the second country first, finds the same records.
    importing("T4,TWO,Lamp,1,2021-07-02 10:00,8.00,two-homes,Cyprus")
    assert importing.get("/v1/orders/T4")["customer_id"] == "two-homes--CY"
    importing(*reversed(rows))


def test_a_customer_whom_the_shop_knows_keeps_their_address_and_the_difference_is_told(
    importing: Importing,
) -> None:
    address = {"line1": "1 High Street", "city": "Leeds", "postcode": "LS1", "country": "GB"}
    importing.post("/v1/customers", customer_id="known", name="Ada", email="ada@example.org", address=address)
    told = importing("KN1,KNOWN,Lamp,1,2021-08-01 10:00,3.00,known,France", status=1)
    assert "known  counted in GB" in told
    assert "2021-08-01 FR  file 1 orders, 1 units, 3.00; shop 0 orders, 0 units, 0.00" in told
    assert importing.get("/v1/customers/known")["address"]["line1"] == "1 High Street"
    assert importing.get("/v1/customers/known--FR") is None


def test_rows_of_an_order_that_the_shop_refuses_are_rejected_with_its_reason(
    importing: Importing, tmp_path: Path
) -> None:
    importing("R1,REFUSED,Lamp,1,2021-09-01 10:00,3.00,7,France")
    importing.post("/v1/products/REFUSED/discontinue")
    told = importing(
        "R2,REFUSED,Lamp,1,2021-09-02 10:00,3.00,7,France",
        "R3,TAKEN,Lamp,1,2021-09-02 10:00,3.00,7,France",
        "R2,TAKEN,Lamp,1,2021-09-02 10:00,3.00,7,France",
        "R4,TAKEN,Lamp,two,2021-09-02 10:00,3.00,7,France",
        "R5,HIDDEN,\u202eLamp,1,2021-09-02 10:00,3.00,7,France",
        status=1,
    )
    assert "not imported: 4 rows" in told
    assert "days that differ" not in told
    with (tmp_path / "in.rejects.csv").open() as lines:
        rejects = [(each["Line"], each["Reason"], each["Detail"][:31]) for each in csv.DictReader(lines)]
    assert rejects.pop() == ("6", "refused by the shop", "/v1/products/HIDDEN  400 U+202E")
    assert rejects == [
        ("5", "bad row", "quantity 'two' is no whole numb"),
        ("2", "refused by the shop", "409 product REFUSED is disconti"),
        ("4", "refused by the shop", "409 product REFUSED is disconti"),
    ]


def test_bad_rows_and_nothing_accepted_are_told_and_end_with_1(importing: Importing) -> None:
    edges = [
        "D1,DATES,Lamp,1,0001-01-01 00:00+14:00,3.00,7,France",
        "D2,DATES,Lamp,1,9999-12-31 23:59-14:00,3.00,7,France",
    ]
    assert "nothing was accepted" in importing(*edges, status=1)
    told = importing(
        *edges,
        "D3,DATES,Lamp,1,1970-01-01 00:00,3.00,7,France",
        "D4,DATES,Lamp,1,9998-12-30 23:59,3.00,7,France",
        status=1,
    )
    assert "not imported: 2 rows" in told
    assert "days that differ" not in told
    assert importing.get("/v1/orders/D4")["status"] == "confirmed"


def test_a_dry_run_sends_nothing(importing: Importing) -> None:
    told = importing(
        "DRY1,DRY,Lamp,1,2021-10-01 10:00,3.00,dry,France", options=("--currency", "GBP", "--dry-run")
    )
    assert "nothing was sent" in told
    for path in ("/v1/orders/DRY1", "/v1/products/DRY", "/v1/customers/dry", "/v1/stock/DRY"):
        assert importing.get(path) is None
