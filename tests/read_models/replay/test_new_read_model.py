"""A read model made as contexts/README.md says has all events since the first."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import sys
from pathlib import Path

from nats.aio.client import Client

from infra.mongo import Mongo
from read_models.projection.versions import versions_of
from tests.conftest import Server
from tests.read_models import examples
from tests.read_models.logs import Logs, eventually
from tests.read_models.replay.replaying import lives
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

ROOT = Path(__file__).parents[3]

MODEL = '''
"""Which products sell best? Units ordered of each SKU, whatever became of the orders."""

from __future__ import annotations

import msgspec

from contexts.inventory.events import StockAllocated
from read_models.projection.model import Occurrence, ReadModel, Source


class BestSeller(msgspec.Struct, frozen=True, kw_only=True):
    sku: str
    units: int = 0


def project(document: BestSeller | None, occurrence: Occurrence) -> BestSeller:
    seller = document or BestSeller(sku=occurrence.key)
    return msgspec.structs.replace(seller, units=seller.units + occurrence.event.quantity)


BEST_SELLERS = ReadModel(
    name="best_sellers",
    sources=(Source("inventory", StockAllocated),),
    document=BestSeller,
    project=project,
    indexes=((("units", -1),),),
)
'''


def with_the_new_model(folder: Path) -> Path:
    """The source as its author leaves it: one new file, and its name in the registry."""
    for part in ("contexts", "gateway", "infra", "read_models"):
        shutil.copytree(ROOT / part, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "orderfold.py", folder)
    (folder / "read_models" / "best_sellers.py").write_text(MODEL)
    registry = folder / "read_models" / "registry.py"
    listed = registry.read_text().replace("(ORDERS,", "(BEST_SELLERS, ORDERS,", 1)
    imported = "from read_models.best_sellers import BEST_SELLERS\nfrom read_models.customers"
    registry.write_text(listed.replace("from read_models.customers", imported, 1))
    return folder


async def test_a_new_read_model_is_built_over_existing_events(
    mongo: Mongo,
    connection: Client,
    logs: Logs,
    nats: Server,
    mongo_url: str,
    mongo_database: str,
    tmp_path: Path,
) -> None:
    await logs.happened(("stock-MUG", examples.received), ("stock-MUG", examples.allocated), *lives(0, 3))
    source = with_the_new_model(tmp_path / "source")
    environment = {
        **os.environ,
        "ORDERFOLD_NATS_URL": nats.url,
        "ORDERFOLD_MONGO_URL": mongo_url,
        "ORDERFOLD_MONGO_DATABASE": mongo_database,
        "PYTHONPATH": str(source),
    }
    told = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "orderfold", "replay", "start", "best_sellers", "--switch"],
        cwd=source,
        env=environment,
        capture_output=True,
        text=True,
        timeout=COMMAND_SECONDS,
        check=False,
    )
    assert told.returncode == 0, told.stderr
    assert "queries of best_sellers read best_sellers@2 now" in told.stdout
    assert await _units(mongo) == 4
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "read_models", "run", "best_sellers"), cwd=source, env=environment
    )
    try:
        await logs.happened(("stock-MUG", examples.allocated))
        await eventually(lambda: _is(mongo, 8))
    finally:
        running.terminate()
        await asyncio.wait_for(running.wait(), HOLDS_SECONDS)
    assert (await versions_of(mongo, "best_sellers")).versions == ("best_sellers@2",)


async def _units(mongo: Mongo) -> int:
    (mugs,) = await mongo.find("best_sellers@2", {})
    return int(mugs["units"])


async def _is(mongo: Mongo, units: int) -> bool:
    return await _units(mongo) == units
