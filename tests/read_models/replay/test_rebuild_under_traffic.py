"""Read models rebuilt and switched while orders come in over HTTP: clients notice nothing."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from infra.embedded.stack import EmbeddedStack
from infra.sockets import free_port
from tests.read_models.replay.under_traffic import demonstrate, first_invoices
from tests.support.deadlines import whole_run
from tests.support.online_retail import DECEMBER
from tests.support.progress import tell
from tests.system.e2e.conftest import bearer
from tests.system.faults.invoices import write_invoices

pytestmark = [pytest.mark.slow, whole_run]

INVOICES = 40
"""Of history; the whole of December is for `python -m tests.bench replay-traffic`."""
SEED = 20101201


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[EmbeddedStack]:
    """A running stack of its own."""
    async with EmbeddedStack(tmp_path / "data", port=free_port()) as running:
        await running.ready()
        yield running


@pytest.fixture
def history(tmp_path: Path) -> Path:
    """Real sales where the data set is at hand, else some made from a seed."""
    file = tmp_path / "history.csv"
    if DECEMBER.exists():
        return first_invoices(DECEMBER, INVOICES, file)
    write_invoices(file, INVOICES, SEED)
    return file


async def test_every_model_is_rebuilt_switched_and_rolled_back_while_orders_come_in(
    stack: EmbeddedStack, history: Path
) -> None:
    """No client sees an error or an answer older than its token, and nothing differs afterwards."""
    seen = await demonstrate(stack, bearer(stack), history, say=tell)
    assert seen.wrong == []
    assert seen.differences == 0
    assert seen.placed > 0
    assert seen.answers > 0
