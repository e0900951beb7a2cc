"""Which server of MongoDB's protocol the embedded stack runs, and on which data."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from infra.embedded.mongo import STAND_IN, MongoProgram, mongo_program, mongo_server, program_for
from infra.embedded.servers import ServerFailed
from infra.sockets import free_port


def program(file: Path, version: str = "", *, status: int = 0) -> str:
    """A program that tells this version, if any."""
    told = f"echo 'db version v{version}'" if version else ":"
    file.write_text(f"#!/bin/sh\n{told}\nexit {status}\n")
    file.chmod(0o755)
    return str(file)


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a mongod is found first."""
    (tmp_path / "bin").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path / "bin"), prepend=":")
    return tmp_path / "bin" / "mongod"


def test_the_one_that_was_chosen_is_taken(tmp_path: Path, on_path: Path) -> None:
    program(on_path, "7.0.1")
    chosen = program(tmp_path / "mine", "8.0.4")
    assert str(mongo_program(chosen)) == f"mongod 8.0.4 ({chosen})"


def test_it_may_be_chosen_by_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ORDERFOLD_MONGOD", program(tmp_path / "mine", "8.0.4"))
    assert mongo_program().name == "mongod 8.0.4"


@pytest.mark.parametrize(
    ("version", "status"), [("8.0.4", 1), ("", 0), ("4.4.29", 0)], ids=["fails", "not mongod", "too old"]
)
def test_a_chosen_one_that_cannot_be_used_is_refused_and_one_on_path_passed_over(
    tmp_path: Path, on_path: Path, version: str, status: int
) -> None:
    chosen = program(tmp_path / "mine", version, status=status)
    with pytest.raises(ServerFailed, match=r"ORDERFOLD_MONGOD: .*mine is not a mongod 5.0 or newer"):
        mongo_program(chosen)
    program(on_path, version, status=status)
    assert mongo_program().path != str(on_path)


def test_a_chosen_one_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="ORDERFOLD_MONGOD"):
        mongo_program(str(tmp_path / "nowhere"))


def test_the_one_on_path_comes_before_the_wheels(on_path: Path) -> None:
    theirs = program(on_path, "7.0.1")
    assert mongo_program() == MongoProgram(path=theirs, name="mongod 7.0.1", is_mongod=True)


def test_data_stay_with_the_server_that_wrote_them(tmp_path: Path) -> None:
    (tmp_path / "ours" / "data").mkdir(parents=True)
    assert program_for(tmp_path / "ours", program(tmp_path / "mine", "8.0.4")).chosen == STAND_IN
    (tmp_path / "theirs" / "mongod").mkdir(parents=True)
    with pytest.raises(ServerFailed, match="but no mongod runs on this machine"):
        program_for(tmp_path / "theirs", STAND_IN)
    assert program_for(tmp_path / "new", STAND_IN).chosen == STAND_IN


@pytest.mark.fallback
def test_data_are_there_again_at_another_port(tmp_path: Path, mongo_program: MongoProgram) -> None:
    """The only member of the replica set has another name then."""
    for number in range(2):
        server = mongo_server(tmp_path, port := free_port(), mongo_program)
        server.start()
        with MongoClient[dict[str, Any]](f"mongodb://127.0.0.1:{port}") as client:
            client.test.kept.insert_one({"_id": number})
            assert [item["_id"] for item in client.test.kept.find()] == list(range(number + 1))
        server.stop()


def test_a_mongod_that_cannot_start_says_why_in_one_line(tmp_path: Path, mongo_program: MongoProgram) -> None:
    if not mongo_program.is_mongod:
        pytest.skip("no mongod runs on this machine")
    first = mongo_server(tmp_path, free_port(), mongo_program)
    first.start()
    with pytest.raises(ServerFailed, match=r"ended with status \d+: .*[Aa]nother mongod instance"):
        mongo_server(tmp_path, free_port(), mongo_program).start()
    first.kill()
