"""Redocly and Spectral have nothing to say against the OpenAPI document."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from gateway.app import make_litestar, make_services
from gateway.openapi.document import document, encoded
from infra.settings import Settings

pytestmark = pytest.mark.openapi

HERE = Path(__file__).parent
PROGRAMS = HERE / "node_modules" / ".bin"
LINT_SECONDS = 300
OLDEST_NODE = (20, 19)
"""Redocly's."""

LINTERS = {
    # It says what it warns of, and ends with 0 all the same.
    "redocly": ["lint", "--config", "redocly.yaml", "--format", "github-actions"],
    "spectral": ["lint", "--ruleset", ".spectral.yaml", "--fail-severity", "hint", "--quiet"],
}
"""What each is told; both print only what they find."""


@functools.cache
def unusable() -> str:
    """Why the linters cannot be run here; empty if they can."""
    if shutil.which("node") is None:
        return "there is no node"
    found = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if tuple(int(part) for part in found.strip().removeprefix("v").split(".")[:2]) < OLDEST_NODE:
        return f"node {found.strip()} is too old for Redocly"
    if not all((PROGRAMS / name).exists() for name in LINTERS):
        return "the linters are not installed: npm ci --prefix tests/gateway/openapi"
    return ""


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The document, as it is served."""
    if unusable():
        pytest.skip(unusable())
    file = tmp_path_factory.mktemp("openapi") / "openapi.json"
    file.write_bytes(encoded(document(make_litestar(make_services(Settings())).routes, "0")))
    return file


def lint(linter: str, arguments: Sequence[str], file: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(PROGRAMS / linter), *arguments, str(file)],
        cwd=HERE,
        env={
            "PATH": os.environ["PATH"],
            "HOME": str(file.parent),
            "REDOCLY_TELEMETRY": "off",
            "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true",
        },
        capture_output=True,
        text=True,
        timeout=LINT_SECONDS,
        check=False,
    )


@pytest.mark.parametrize("linter", LINTERS)
def test_there_is_no_error_and_no_warning(linter: str, file: Path) -> None:
    found = lint(linter, LINTERS[linter], file)
    assert (found.returncode, found.stdout.strip()) == (0, ""), found.stdout + found.stderr


@pytest.mark.parametrize("linter", LINTERS)
def test_a_warning_would_be_noticed(linter: str, file: Path) -> None:
    """Spectral's of a missing description, Redocly's of a server at example.com."""
    worse = file.with_name("worse.json")
    worse.write_text(
        file.read_text().replace('"description":"Returns 200 as long', '"x-said":"Returns 200 as long')
    )
    text = worse.read_text()
    assert text != file.read_text()
    worse.write_text(text.replace('"servers":[{"url":"/",', '"servers":[{"url":"https://example.com",'))
    assert lint(linter, LINTERS[linter], worse).stdout.strip()
