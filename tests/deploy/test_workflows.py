"""The workflows of the forge are valid, may do no more than they need, and run nothing that may change."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.deadlines import COMMAND_SECONDS

PROJECT = Path(__file__).parents[2]
WORKFLOWS = sorted((PROJECT / ".github" / "workflows").iterdir())
PINNED = re.compile(r"uses: [\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+")
CONTEXT = re.compile(r"\$\{\{")

Workflow = dict[str, Any]


class Strict(yaml.SafeLoader):
    """Reads `on` as the word it is."""


Strict.yaml_implicit_resolvers = {
    first: [
        (tag, pattern) for tag, pattern in found if tag != "tag:yaml.org,2002:bool" or first not in "oOyYnN"
    ]
    for first, found in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.fixture(params=WORKFLOWS, ids=lambda path: path.stem)
def file(request: pytest.FixtureRequest) -> Path:
    """Each workflow's file."""
    path: Path = request.param
    return path


@pytest.fixture
def workflow(file: Path) -> Workflow:
    """Each workflow."""
    return read(file)


def read(file: Path) -> Workflow:
    found: Workflow = yaml.load(file.read_text(), Strict)
    return found


def steps(workflow: Workflow) -> Iterator[dict[str, Any]]:
    """All steps of all jobs."""
    for job in workflow["jobs"].values():
        yield from job.get("steps", ())


def script(workflow: str, name: str) -> str:
    """What a step, by its name, runs."""
    (found,) = [
        step["run"]
        for step in steps(read(PROJECT / ".github" / "workflows" / f"{workflow}.yml"))
        if step.get("name") == name
    ]
    return str(found)


def run(code: str, folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run a step's script as the forge does."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", code],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "GITHUB_OUTPUT": str(folder / "output"), **environ},
        capture_output=True,
        text=True,
        check=False,
        timeout=COMMAND_SECONDS,
    )


def tool(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    """Run one of the installed checkers; neither asks the network."""
    command = [Path(sys.executable).parent / name, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=COMMAND_SECONDS)


def schema_check(*files: Path) -> subprocess.CompletedProcess[str]:
    """Compare workflows with GitHub's schema, of which the checker has a copy."""
    return tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *files)


def test_workflows_fit_the_schema() -> None:
    checked = schema_check(*WORKFLOWS)
    assert checked.returncode == 0, checked.stdout


def test_mistakes_do_not_fit(tmp_path: Path) -> None:
    right = "on: push\njobs:\n  job:\n    runs-on: x\n    steps: [{run: 'true'}]\n"
    mistakes = {
        "misspelt": "    timeout-minute: 5\n",
        "unknown": "    runs_on: x\n",
        "scope": "    permissions: {everything: write}\n",
        "twice": "    runs-on: x\n",
    }
    for name, mistake in {"right": "", **mistakes}.items():
        (tmp_path / f"{name}.yml").write_text(right + mistake)
    checked = schema_check(*tmp_path.iterdir())
    assert checked.returncode == 1
    assert {name for name in ("right", *mistakes) if f"{name}.yml" in checked.stdout} == mistakes.keys()


def test_workflows_have_no_known_weakness() -> None:
    """Credentials left for later steps, scripts made of what others write, permissions for everything."""
    checked = tool("zizmor", "--offline", "--no-config", "--no-progress", *WORKFLOWS)
    assert checked.returncode == 0, checked.stdout


def test_actions_are_pinned_to_a_commit_that_tells_its_version(file: Path) -> None:
    used = [line.strip().removeprefix("- ") for line in file.read_text().splitlines() if "uses: " in line]
    assert used
    for line in used:
        assert PINNED.fullmatch(line) or line.startswith("uses: ./"), line


def test_one_action_has_one_version_everywhere() -> None:
    used = {step["uses"] for file in WORKFLOWS for step in steps(read(file)) if "uses" in step}
    assert len({item.partition("@")[0] for item in used}) == len(used)


def test_nothing_may_be_written_unless_a_job_says_so(workflow: Workflow) -> None:
    assert workflow["permissions"] in ({}, {"contents": "read"})
    for job in workflow["jobs"].values():
        assert job.get("permissions", {}) != "write-all"


def test_only_a_release_writes_and_only_what_each_job_needs() -> None:
    writes = {
        (file.stem, name): {
            scope for scope, access in job.get("permissions", {}).items() if access == "write"
        }
        for file in WORKFLOWS
        for name, job in read(file)["jobs"].items()
    }
    assert {job: scopes for job, scopes in writes.items() if scopes} == {
        ("release", "image"): {"packages", "id-token", "attestations"},
        ("release", "release"): {"contents"},
    }


def test_every_job_has_a_time_limit_and_every_workflow_its_turn(workflow: Workflow) -> None:
    assert workflow["concurrency"]["group"]
    for job in workflow["jobs"].values():
        assert "uses" in job or job["timeout-minutes"] <= 40


def test_no_script_is_put_together_from_what_others_write(workflow: Workflow) -> None:
    # A branch may be called `$(curl …)`: such values come as variables, which are no code.
    for step in steps(workflow):
        assert not CONTEXT.search(step.get("run", "")), step


def test_the_forge_runs_the_one_script_there_is() -> None:
    ci = read(PROJECT / ".github" / "workflows" / "ci.yml")
    assert any(".ci/run" in step.get("run", "") for step in steps(ci))
    assert (PROJECT / ".ci" / "run").stat().st_mode & 0o111
    release = read(PROJECT / ".github" / "workflows" / "release.yml")
    assert release["jobs"]["ci"]["uses"] == "./.github/workflows/ci.yml"
    assert "ci" in release["jobs"]["image"]["needs"]
    assert "workflow_call" in ci["on"]


def test_targets_and_files_that_steps_name_are_there() -> None:
    makefile = (PROJECT / "Makefile").read_text()
    for file in WORKFLOWS:
        for step in steps(read(file)):
            for target in re.findall(r"\bmake ([\w-]+)", step.get("run", "")):
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
            for name in (step.get("with", {}).get("file"), step.get("with", {}).get("inputs")):
                assert name is None or (PROJECT / name).is_file()


def test_a_release_is_of_the_version_that_project_and_changelog_have(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text('[project]\nname = "orderfold"\nversion = "1.2.3"\n')
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## [1.2.3] - 2026-01-01\n")
    code = script("release", "compare tag, project and changelog")
    right = run(code, tmp_path, TAG="v1.2.3", REPOSITORY="Orderfold/Orderfold")
    assert right.returncode == 0, right.stdout + right.stderr
    assert (tmp_path / "output").read_text() == "version=1.2.3\nimage=ghcr.io/orderfold/orderfold\n"
    assert run(code, tmp_path, TAG="v1.2.4", REPOSITORY="a/b").returncode == 1
    (tmp_path / "CHANGELOG.md").write_text("# Changelog\n\n## Unreleased\n")
    assert run(code, tmp_path, TAG="v1.2.3", REPOSITORY="a/b").returncode == 1


def test_a_release_tells_what_its_section_of_the_changelog_says(tmp_path: Path) -> None:
    (tmp_path / "CHANGELOG.md").write_text(
        "# Changelog\n\n## Unreleased\n\n- later\n\n## [1.2.3] - 2026-01-01\n\n### Added\n\n- this\n\n"
        "## [1.2.2]\n\n- before\n"
    )
    code = script("release", "take the version's section out of the changelog")
    assert run(code, tmp_path, VERSION="1.2.3").returncode == 0
    assert (tmp_path / "notes.md").read_text() == "\n### Added\n\n- this\n\n"
    assert run(code, tmp_path, VERSION="9.9.9").returncode != 0
