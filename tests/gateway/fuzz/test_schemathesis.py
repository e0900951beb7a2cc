"""Schemathesis asks the gateway what its description allows, and what not, and holds each answer to it.

All of its checks are on: no 5xx, no status, header, media type or body that is not described, nothing
refused that is true to the description, nothing taken that is not, and no door that opens without a token.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from pathlib import Path

import pytest

from infra.embedded.stack import EmbeddedStack
from tests.gateway.fuzz.conftest import Issuer
from tests.support.deadlines import WHOLE_RUN_SECONDS, whole_run
from tests.support.subprocesses import communicate

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.slow, whole_run]

ROOT = Path(__file__).parents[3]
CASES = {"staff": 3_000, "customer": 2_000}
"""How many it must at least have made up: fewer would mean that it did not get far."""


@pytest.mark.parametrize("whose", ["customer", "staff"])
async def test_every_answer_is_as_it_is_described(
    stack: EmbeddedStack, issuer: Issuer, tmp_path: Path, whose: str
) -> None:
    """A customer's own token closes half of the routes, and that is described as well."""
    token = issuer.customer("ann") if whose == "customer" else issuer.token()
    said = await schemathesis(stack, token, tmp_path)
    assert " passed" in said, said
    found = re.search(r"^ +(\d+) generated, \1 passed", said, re.MULTILINE)
    assert found is not None, said
    assert int(found[1]) >= CASES[whose], said


async def schemathesis(stack: EmbeddedStack, token: str, folder: Path) -> str:
    """Run it as its users do; what it said, which it must end with status 0."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "schemathesis.cli", "--config-file", str(Path(__file__).with_name("schemathesis.toml"))),
        *("run", f"{stack.url}/openapi.json"),
        cwd=folder,
        env={
            "PATH": os.environ["PATH"],
            "PYTHONPATH": str(ROOT),
            "SCHEMATHESIS_HOOKS": "tests.gateway.fuzz.hooks",
            "TOKEN": token,
            "WEBHOOK_SECRET": str(stack.folder.webhook_secret),
            "COLUMNS": "200",
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    printed, _ = await communicate(process, seconds=WHOLE_RUN_SECONDS)
    said = printed.decode()
    assert process.returncode == 0, said
    return said
