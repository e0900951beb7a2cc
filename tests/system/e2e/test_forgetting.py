"""Two of a thousand customers are forgotten in the middle of an import: nothing is left of them anywhere."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from infra.embedded.stack import EmbeddedStack
from infra.mongo import Mongo
from read_models.replay.state import State, find_replay
from tests.support.deadlines import whole_run
from tests.support.progress import tell
from tests.support.shop import Shop, eventually
from tests.system.e2e.clientele import CUSTOMERS, DAY, write_later_sales, write_sales
from tests.system.e2e.commands import begin, ended, orderfold

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.slow, whole_run]

REBUILT = ("customers", "orders", "sales")
SLOWLY = "1"
"""Events a second: no replay is done by the time the customers are forgotten."""

KNOWN, IMPORTED = "eloise", "29999"
"""One is a customer, with all there is to know, before her sales come in; the other the file brings."""
ADDRESS = {"line1": "17 Rue de l'Écluse", "city": "Besançon", "postcode": "25000", "country": "FR"}
PERSON = {"name": "Éloïse Quatremère", "email": "eloise.quatremere@example.org", "address": ADDRESS}
MOVED = {"line1": "3 Hafnarstræti", "city": "Ísafjörður", "postcode": "400", "country": "IS"}
TEXTS = {
    KNOWN: (
        *("Éloïse Quatremère", "eloise.quatremere@", "eq@example.org", "Quatrem"),
        *("17 Rue de l'Écluse", "Écluse", "Besançon"),
    ),
    IMPORTED: (
        *("Customer 29999", "customer-29999@example.invalid", "runa@example.org"),
        *("3 Hafnarstræti", "Hafnarstr", "Ísafjörður"),
    ),
}


async def test_two_of_a_thousand_are_forgotten_in_the_middle_of_an_import_and_of_replays(
    stack: EmbeddedStack,
    shop: Shop,
    mongo: Mongo,
    meanwhile: Callable[[Coroutine[Any, Any, str]], asyncio.Task[str]],
    tmp_path: Path,
) -> None:
    file = tmp_path / "sales.csv"
    coming = write_sales(file, KNOWN, IMPORTED)
    sales = [
        str(file),
        "--currency",
        "GBP",
        "--rejects",
        str(tmp_path / "rejects.csv"),
        "--overwrite-rejects",
    ]
    await shop.do("/v1/customers", {"customer_id": KNOWN, **PERSON})
    import_ = await begin(stack, "import", *sales)
    importing = meanwhile(ended(import_, status=1))
    await are_placed(shop, coming[KNOWN][0], coming[IMPORTED][0])
    # Held until the replays are at work, or the file might be in before two are forgotten.
    import_.send_signal(signal.SIGSTOP)
    await shop.do(f"/v1/customers/{KNOWN}/change-email", {"email": "eq@example.org"})
    await shop.do(f"/v1/customers/{IMPORTED}/change-email", {"email": "runa@example.org"})
    await shop.do(f"/v1/customers/{IMPORTED}/change-address", {"address": MOVED})
    await what_is_refused_is_not_kept_either(shop)
    rebuilding = meanwhile(orderfold(stack, "replay", "start", *REBUILT, "--at-once", "3", "--rate", SLOWLY))
    await eventually(
        lambda: states(mongo), lambda found: set(found) == {State.RUNNING}, "three replays at work"
    )

    before = await orders_of(shop)
    import_.send_signal(signal.SIGCONT)
    for customer_id in (KNOWN, IMPORTED):
        await shop.do(f"/v1/customers/{customer_id}/forget")
        # At once for whoever asks, whatever the read model says by then.
        shown = await shop.get(f"/v1/customers/{customer_id}")
        assert [shown[it] for it in ("status", "name", "email", "address")] == ["forgotten", None, None, None]
    assert await states(mongo) == [State.RUNNING] * 3
    await asyncio.gather(*(orderfold(stack, "replay", "rate", model, "0") for model in REBUILT))

    # What they would have bought from then on is refused, and told: nobody takes the import for a whole one.
    tell("the import goes on")
    told = await importing
    placed = await orders_of(shop)
    for customer_id, theirs in coming.items():
        assert theirs[0] in placed
        assert theirs[-1] not in placed
        assert f"/v1/orders/{theirs[-1]}  409 customer {customer_id} has been forgotten" in told
    refused = [order_id for theirs in coming.values() for order_id in theirs if order_id not in placed]
    assert f"refused: {len(refused)}\n" in told
    assert "reconciled" not in told

    tell("a later file is imported, and everything is searched")
    # A later file brings nobody back; what else is in it is sold.
    later = write_later_sales(file, KNOWN, IMPORTED, "30007")
    told, *printed = await asyncio.gather(
        orderfold(stack, "import", *sales, status=1),
        *(
            orderfold(stack, "verify", "--erased", customer_id, "--text", "-", given="\n".join(texts))
            for customer_id, texts in TEXTS.items()
        ),
    )
    assert "refused: 2\n" in told
    assert [(await shop.look(f"/v1/orders/{it}")).status_code for it in later] == [404, 404, 200]
    for customer_id, verdict in zip(TEXTS, printed, strict=True):
        assert f"erased: nothing of {customer_id} can be read any more" in verdict

    tell("the rest is rebuilt")
    # What is left adds up, live and rebuilt.
    await rebuilding
    assert before.items() <= placed.items()
    assert len(placed) == CUSTOMERS - 2 + sum(map(len, coming.values())) - len(refused)
    (day,) = (await shop.get("/v1/sales/daily", **{"from": DAY, "to": DAY}))["items"]
    assert (day["orders"], day["revenue"]) == (len(placed), {"GBP": sum(placed.values())})
    for found in await asyncio.gather(*(orderfold(stack, "replay", "diff", model) for model in REBUILT)):
        assert "clean: every document is the same" in found
    for model in REBUILT:
        await orderfold(stack, "replay", "drop", model, "--yes")
    assert "clean: streams" in await orderfold(stack, "verify")
    assert (await shop.get("/v1/customers/30007"))["name"] == "Customer 30007"


async def what_is_refused_is_not_kept_either(shop: Shop) -> None:
    """Neither in a store nor in a log."""
    again = await shop.post("/v1/customers", {"customer_id": KNOWN, **PERSON, "name": "Quatremère, Élo"})
    wrong = await shop.post(f"/v1/customers/{KNOWN}/change-email", {"email": "eloise.quatremere@"})
    assert (again.status_code, wrong.status_code) == (409, 400)


async def are_placed(shop: Shop, *order_ids: str) -> None:
    """Return when these orders are there."""

    async def missing() -> list[str]:
        return [it for it in order_ids if (await shop.look(f"/v1/orders/{it}")).status_code != 200]

    await eventually(missing, lambda left: not left, "orders not yet placed")


async def states(mongo: Mongo) -> list[State | None]:
    """How far the replays are; one that has not yet applied anything does not count."""
    found = [await find_replay(mongo, model) for model in REBUILT]
    return [replay.state if replay and replay.done else None for replay in found]


async def orders_of(shop: Shop) -> dict[str, int]:
    """The total of every order of the file that was placed."""
    found: dict[str, int] = {}
    cursor: dict[str, Any] = {}
    while True:
        page = await shop.get("/v1/orders", limit=200, **cursor)
        found |= {it["order_id"]: it["total"] for it in page["items"] if it["placed_at"].startswith(DAY)}
        if not page["next"]:
            return found
        cursor = {"cursor": page["next"]}
