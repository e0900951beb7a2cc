"""Forgetting a customer whose events, and whose key, are in PostgreSQL."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from contexts import NAMES as CONTEXTS
from gateway.cli.erasure.files import search_files
from gateway.cli.erasure.search_terms import read_texts
from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.support.postgres_server import fresh_database
from tests.support.shop import Shop
from tests.system.e2e.commands import orderfold
from tests.system.e2e.conftest import bearer

pytestmark = pytest.mark.slow

ADDRESS = {"line1": "17 Rue de l'Écluse", "city": "Besançon", "postcode": "25000", "country": "FR"}
PERSON = {"name": "Éloïse Quatremère", "email": "eloise.quatremere@example.org", "address": ADDRESS}
TEXTS = ("Éloïse Quatremère", "eloise.quatremere@", "17 Rue de l'Écluse", "Besançon")


@pytest.fixture
async def stack(tmp_path: Path, postgres_url: str) -> AsyncIterator[EmbeddedStack]:
    """A stack whose stores are in PostgreSQL, keys in a database of their own."""
    server = postgres_url.rpartition("/")[0]
    for name in (*CONTEXTS, "keys"):
        fresh_database(postgres_url, f"erased_{name}")
    environ = {
        "ORDERFOLD_STORE": f"{server}/erased_{{context}}",
        "ORDERFOLD_KEY_STORE": f"{server}/erased_keys",
    }
    async with EmbeddedStack(tmp_path / "data", port=free_port(), environ=environ) as running:
        yield running


async def test_nothing_is_left_in_postgresql_either(
    stack: EmbeddedStack, postgres_url: str, tmp_path: Path
) -> None:
    """Rows are asked for; here its files are searched, too, as whoever copied the disk would have them."""
    texts = tmp_path / "texts"
    texts.write_text("\n".join(TEXTS))
    erased = ("verify", "--erased", "eloise", "--text", str(texts))
    async with Shop(stack.url, bearer(stack)) as shop:
        await shop.stock("PG-KEPT", 10)
        await shop.do("/v1/customers", {"customer_id": "eloise", **PERSON})
        await shop.do("/v1/customers/eloise/change-email", {"email": "eq@example.org"})
        await shop.order("pg-kept", "eloise", {"PG-KEPT": 1})
        await shop.order_becomes("pg-kept", "confirmed")
        assert (await shop.get("/v1/customers/eloise"))["name"] == PERSON["name"]
        await shop.do("/v1/customers/eloise/forget")
        assert (await shop.get("/v1/customers/eloise"))["status"] == "forgotten"

        printed = await orderfold(stack, *erased)
        for name in (*CONTEXTS, "keys"):
            assert f"/erased_{name}\n" in printed
        assert "not searched: PostgreSQL's own files" in printed
        assert printed.endswith("was destroyed, and nothing is left where was searched\n")
        files = search_files(data_directory(postgres_url), read_texts(texts))
        assert (files.found, files.unread) == ([], [])
        assert "clean: streams" in await orderfold(stack, "verify")

        # Were there anything, it would be found.
        with closing(psycopg.connect(f"{postgres_url.rpartition('/')[0]}/erased_ordering")) as connection:
            connection.execute("INSERT INTO notes VALUES ('left', 'x', %s)", (TEXTS[0].encode(),))
            connection.commit()
        assert "found text 1 (UTF-8) in the table public.notes of PostgreSQL" in await orderfold(
            stack, *erased, status=1
        )
        assert {
            item.line for item in search_files(data_directory(postgres_url), read_texts(texts)).found
        } == {1}


def data_directory(url: str) -> Path:
    """Where a server keeps its files."""
    with closing(psycopg.connect(url)) as connection:
        found = connection.execute("SHOW data_directory").fetchone()
    assert found is not None
    return Path(found[0])
