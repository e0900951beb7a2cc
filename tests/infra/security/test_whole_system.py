"""Orders with everything on TLS: NATS, MongoDB, PostgreSQL, gateway; each service with its certificate."""

from __future__ import annotations

from pathlib import Path

import pytest

from contexts import NAMES
from tests.infra.security.authority import Certificates
from tests.infra.security.deployment import TlsDeployment
from tests.infra.security.postgres_tls import PASSWORD, PostgresTls
from tests.support.shop import Shop

pytestmark = [pytest.mark.postgresql, pytest.mark.slow]

SALES = """\
InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country
900001,CUP,Blue cup,2,2010-12-01 08:26:00,2.55,17850,United Kingdom
900002,CUP,Blue cup,1,2010-12-02 09:26:00,2.55,17851,France
"""


async def test_an_order_is_completed_with_everything_on_tls(
    tmp_path: Path,
    certificates: Certificates,
    mongo_address: str,
    postgres: PostgresTls,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The servers take nothing else; the shop's own HTTP client believes the development CA."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.ca))
    password = tmp_path / "password"
    password.write_text(PASSWORD)
    async with (
        TlsDeployment(tmp_path, certificates, mongo_address, postgres.address, password) as system,
        Shop(system.url, system.token()) as shop,
    ):
        assert system.url.startswith("https://")
        await shop.stock("MUG", 10)
        await shop.customer("ada")
        # The provider approves it later, by a webhook over HTTPS.
        await shop.order("42", "ada", {"MUG": 3}, payment="tok_late_200")
        await shop.stage_becomes("42", "awaiting-dispatch")
        await shop.do("/v1/shipments/42/dispatch", {"carrier": "DHL", "tracking": "D1"})
        await shop.order_becomes("42", "dispatched")
        await shop.do("/v1/shipments/42/deliver")
        await shop.order_becomes("42", "completed")
        assert (await shop.get("/v1/customers/ada"))["email"] == "ada@example.org"

        assert postgres.spoken() == {name: {("TLSv1.3", f"/CN={name}")} for name in NAMES}

        sales = tmp_path / "sales.csv"
        sales.write_text(SALES)
        await system.orderfold(
            "import", str(sales), "--profile", "online-retail", "--rejects", str(tmp_path / "rejects.csv")
        )
        await system.orderfold("verify", "--wait", "120")
        assert [name for name, process in system.processes.items() if not process.running] == []
