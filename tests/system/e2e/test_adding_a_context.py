"""The recipe of contexts/README.md, followed to the letter in a copy, gives a context that works."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from infra.sockets import free_port
from tests.cli.conftest import command, environment, wait_until
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS, whole_run

pytestmark = [pytest.mark.slow, whole_run]

ROOT = Path(__file__).parents[3]
README = (ROOT / "contexts" / "README.md").read_text()
NEW_FILE = re.compile(
    r"`((?:contexts/loyalty|read_models|gateway)/\w+\.py)`(?:(?!```).)*?```python\n(.*?)```", re.DOTALL
)
CHANGED_FILE = re.compile(r"in `([\w/.]+)`:\n\n((?:```diff\n.*?```\s*)+)", re.DOTALL)
HUNK = re.compile(r"```diff\n(.*?)```", re.DOTALL)


def files() -> dict[str, str]:
    """The new files, by their paths."""
    return {path: text for path, text in NEW_FILE.findall(README) if not (ROOT / path).exists()}


def changes() -> dict[str, list[str]]:
    """The changed files, with their hunks."""
    return {path: HUNK.findall(hunks) for path, hunks in CHANGED_FILE.findall(README)}


def changed(text: str, hunk: str) -> str:
    """The text with a hunk applied, whose old lines must stand in it exactly once."""
    lines = hunk.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] != "+")
    new = "".join(line[1:] for line in lines if line[0] != "-")
    assert text.count(old) == 1, old
    return text.replace(old, new)


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """The repository after the recipe."""
    folder = tmp_path / "copy"
    folder.mkdir()
    shutil.copy(ROOT / "orderfold.py", folder)
    for package in ("contexts", "gateway", "infra", "read_models"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "contexts" / "loyalty").mkdir()
    (folder / "contexts" / "loyalty" / "__init__.py").touch()
    for path, text in files().items():
        (folder / path).write_text(text)
    for path, hunks in changes().items():
        text = (folder / path).read_text()
        for hunk in hunks:
            text = changed(text, hunk)
        (folder / path).write_text(text)
    return folder


class Copy:
    """The copy's own `orderfold`, and its API."""

    def __init__(self, folder: Path) -> None:
        self.data = folder.parent / "data"
        self._folder = folder
        self._environment = {**environment(), "PYTHONPATH": str(folder)}
        self._port = free_port()
        self._output = folder.parent / "up.out"
        with self._output.open("wb") as out:
            self.process = subprocess.Popen(
                command("up", "--data", str(self.data), "--port", str(self._port)),
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env=self._environment,
            )

    def is_ready(self) -> None:
        """Return when it says so."""
        wait_until(lambda: "is ready" in self._output.read_text() or self.process.poll() is not None)
        assert "is ready" in self._output.read_text(), self._output.read_text()

    def run(self, *arguments: str) -> str:
        """What a command prints, which ends well."""
        done = subprocess.run(
            command(*arguments, "--data", str(self.data)),
            capture_output=True,
            text=True,
            cwd=self._folder,
            env=self._environment,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def client(self) -> httpx.Client:
        """A client with every scope."""
        return httpx.Client(
            base_url=f"http://127.0.0.1:{self._port}/v1/loyalty",
            headers={"Authorization": f"Bearer {self.run('token').strip()}", "Prefer": "wait=30"},
            timeout=HOLDS_SECONDS,
        )


@pytest.fixture
def running(copy: Path) -> Iterator[Copy]:
    """The copy, started."""
    started = Copy(copy)
    try:
        started.is_ready()
        yield started
    finally:
        started.process.terminate()
        started.process.wait(HOLDS_SECONDS)


def test_a_newcomer_touches_few_places_outside_the_new_files() -> None:
    """One for the context, one for the read model, one for the routes, one for the words about them."""
    changed = {"contexts/__init__.py", "read_models/registry.py", "gateway/app.py", "gateway/openapi/tags.py"}
    assert changes().keys() == changed
    assert len(files()) == 6


def test_a_context_made_by_the_recipe_works(running: Copy) -> None:
    with running.client() as api:
        awarded = api.post("/ada/award", json={"points": 70})
        assert awarded.status_code == 200, awarded.text
        redeemed = api.post("/ada/redeem", json={"points": 30})
        refused = api.post("/ada/redeem", json={"points": 41})
        assert (redeemed.status_code, refused.status_code) == (200, 409)
        assert refused.json()["detail"] == "member ada has 40 points"
        token = {"Consistency-Token": redeemed.headers["Consistency-Token"]}
        expected = {"member": "ada", "points": 40, "version": 2}
        assert api.get("/ada", headers=token).json() == expected
        told = running.run("replay", "start", "balances", "--switch")
        assert "queries of balances read balances@2 now" in told
        assert api.get("/ada", headers=token).json() == expected
        running.run("verify")
