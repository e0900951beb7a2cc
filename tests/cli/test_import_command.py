"""`orderfold import` before anything is sent: what it refuses, what it never touches, how it ends."""

from __future__ import annotations

import csv
import os
import signal
import socketserver
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from gateway.cli.errors import CommandFailed
from gateway.cli.importer.api_client import address_of
from gateway.cli.importer.command import rejects_path
from tests.cli.conftest import command, environment, run

HEADER = "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country"
GOOD = "1,A,Lamp,1,2010-12-01 10:00,1.50,7,France"
CREDIT = "C2,A,Lamp,-1,2010-12-01 10:00,1.50,7,France"
BAD = "3,A,Lamp,two,2010-12-01 10:00,1.50,7,France"
ELSEWHERE = ("--url", "http://127.0.0.1:1", "--token", "x")


def written(path: Path, *rows: str) -> Path:
    path.write_text("\n".join([HEADER, *rows, ""]))
    return path


def refused(*arguments: str, cwd: Path) -> str:
    """The one line that a command is refused with."""
    result = run("import", *arguments, cwd=cwd)
    assert (result.returncode, result.stdout) == (2, ""), result.stderr
    last = result.stderr.splitlines()[-1]
    assert last.startswith("orderfold: ")
    assert "Traceback" not in result.stderr
    return last


@pytest.mark.parametrize("kind", ["itself", "symbolic link", "hard link", "other path"])
def test_rejects_never_go_to_the_file_that_is_imported(tmp_path: Path, kind: str) -> None:
    file = written(tmp_path / "in.csv", GOOD, BAD)
    before = file.read_bytes()
    rejects = tmp_path / "rejects.csv"
    if kind == "symbolic link":
        rejects.symlink_to(file)
    elif kind == "hard link":
        rejects.hardlink_to(file)
    elif kind == "other path":
        rejects = Path("../", tmp_path.name, "in.csv")
    else:
        rejects = file
    for more in ([], ["--overwrite-rejects"], ["--dry-run"]):
        told = refused(
            "in.csv", "--currency", "GBP", "--rejects", str(rejects), *ELSEWHERE, *more, cwd=tmp_path
        )
        assert "is the file to be imported" in told
    assert file.read_bytes() == before


def test_a_file_that_exists_is_not_written_over_unless_it_is_said(tmp_path: Path) -> None:
    file = written(tmp_path / "in.csv", GOOD, BAD)
    (tmp_path / "diary.txt").write_text("dear diary")
    given = ("in.csv", "--currency", "GBP", "--rejects", "diary.txt", "--dry-run")
    assert "diary.txt exists" in refused(*given, cwd=tmp_path)
    (tmp_path / "gone.txt").symlink_to(tmp_path / "nothing")
    assert "gone.txt exists" in refused(*given[:4], "gone.txt", "--dry-run", cwd=tmp_path)
    assert (tmp_path / "diary.txt").read_text() == "dear diary"
    assert run("import", *given, "--overwrite-rejects", cwd=tmp_path).returncode == 1
    with (tmp_path / "diary.txt").open() as lines:
        assert [reject["Line"] for reject in csv.DictReader(lines)] == ["3"]
    # An import that rejects nothing leaves no rejects of another one.
    written(tmp_path / "good.csv", GOOD)
    assert run("import", "good.csv", *given[1:], "--overwrite-rejects", cwd=tmp_path).returncode == 0
    assert (tmp_path / "diary.txt").read_text().splitlines() == [f"Line,{HEADER},Reason,Detail"]
    assert "is no folder" in refused(*given[:4], "absent/rejects.csv", "--dry-run", cwd=tmp_path)
    assert file.exists()


def test_a_name_that_was_not_given_has_a_number_where_there_is_such_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    file = written(tmp_path / "in.csv.gz", GOOD)
    assert rejects_path(None, file, overwrite=False) == Path("in.rejects.csv")
    Path("in.rejects.csv").touch()
    Path("in.rejects-2.csv").symlink_to("nothing")
    assert rejects_path(None, file, overwrite=False) == Path("in.rejects-3.csv")


@pytest.mark.parametrize(
    ("rows", "options", "status"),
    [
        ([GOOD], ["--currency", "GBP"], 0),
        ([GOOD, CREDIT], ["--profile", "online-retail"], 0),
        ([GOOD, CREDIT], ["--currency", "GBP"], 1),
        ([GOOD, BAD], ["--profile", "online-retail"], 1),
        ([CREDIT], ["--profile", "online-retail"], 1),
        ([BAD], ["--currency", "GBP"], 1),
        ([GOOD.replace("2010", "9999")], ["--currency", "GBP"], 1),
        ([GOOD.replace("France", "UK")], ["--currency", "GBP"], 1),
        ([GOOD.replace("France", "UK")], ["--currency", "GBP", "--country", "UK=GB"], 0),
        ([GOOD.replace("2010-12-01", "01/12/2010")], ["--currency", "GBP"], 2),
        ([GOOD.replace("2010-12-01", "01/12/2010")], ["--currency", "GBP", "--dates", "dmy"], 0),
        ([], ["--currency", "GBP"], 2),
        ([GOOD], [], 2),
    ],
)
def test_the_status_says_whether_everything_was_taken_or_rejected_by_a_rule(
    tmp_path: Path, rows: list[str], options: list[str], status: int
) -> None:
    written(tmp_path / "in.csv", *rows)
    result = run("import", "in.csv", "--dry-run", *options, cwd=tmp_path)
    assert result.returncode == status, result.stdout + result.stderr
    assert ("not imported" in result.stdout or "nothing was accepted" in result.stdout) is (status == 1)
    assert "Traceback" not in result.stderr


def test_a_dry_run_tells_how_the_file_is_understood_and_what_is_in_it(tmp_path: Path) -> None:
    row = "1;A;Lamp;2;25.12.2010 10:00;1.050,50;7;France"
    (tmp_path / "in.csv").write_text(HEADER.replace(",", ";") + f"\n{row}\n")
    result = run("import", "in.csv", "--dry-run", "--currency", "EUR", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    told = " ".join(result.stderr.split())
    assert (
        "UTF-8, separator semicolon, double quotes, dates day first (as in '25.12.2010 10:00' in line 2)"
        in told
    )
    assert "decimal comma (as in '1.050,50' in line 2)" in told
    assert "profile plain, currency EUR, times without an offset are in UTC" in told
    assert "2,101.00" in result.stdout
    assert "nothing was sent" in result.stdout
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("localhost:8080", "write it as http://localhost:8080"),
        ("127.0.0.1", "has no scheme"),
        ("x", "has no scheme"),
        ("ftp://127.0.0.1", "begins with 'ftp'"),
        ("http://", "is no address"),
        ("http://127.0.0.1:0", "is no address"),
        ("http://127.0.0.1:99999", "is no address"),
        ("http://127.0.0.1:abc", "is no address"),
        ("http://[::1", "is no address"),
        ("http://me:secret@127.0.0.1:8080", "is no address"),
        ("http://127.0.0.1:8080/?a=b", "is no address"),
        ("", "has no scheme"),
    ],
)
def test_an_address_that_is_none_is_refused_with_how_it_is_written(url: str, words: str) -> None:
    with pytest.raises(CommandFailed, match="--url") as failed:
        address_of(url)
    assert words in str(failed.value)


def test_a_gateway_that_does_not_answer_is_told_at_once(tmp_path: Path) -> None:
    written(tmp_path / "in.csv", GOOD, BAD)
    told = refused("in.csv", "--currency", "GBP", *ELSEWHERE, cwd=tmp_path)
    assert "http://127.0.0.1:1 does not answer" in told
    assert "orderfold up" in told
    assert sorted(path.name for path in tmp_path.iterdir()) == ["in.csv"]


class Somebody(BaseHTTPRequestHandler):
    """A server that is not Orderfold."""

    status = 404
    body = b""

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class Page(Somebody):
    """One that answers everything with a page."""

    status, body = 200, b"<html></html>"


class Api(Somebody):
    """One that answers everything with JSON."""

    status, body = 200, b'{"status": "ok"}'


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_what_answers_and_is_not_orderfold_is_told_at_once(tmp_path: Path) -> None:
    written(tmp_path / "in.csv", GOOD)
    for other in (Somebody, Page, Api):
        with serving(other) as url:
            told = refused("in.csv", "--currency", "GBP", "--url", url, "--token", "x", cwd=tmp_path)
        assert "is not Orderfold" in told


@pytest.mark.parametrize(
    ("option", "words"),
    [
        (["--currency", "pounds"], "--currency"),
        (["--currency", "gbp"], "--currency"),
        (["--currency", "XYZ"], "--currency"),
        (["--profile", "online-retail", "--currency", "EUR"], "are in GBP"),
        (["--profile", "uci"], "--profile"),
        (["--currency", "GBP", "--payment", "tok approve"], "--payment"),
        (["--currency", "GBP", "--time-zone", "Mars/Olympus"], "--time-zone"),
        (["--currency", "GBP", "--time-zone", "../../etc/passwd"], "--time-zone"),
        (["--currency", "GBP", "--dates", "ymd"], "--dates"),
        (["--currency", "GBP", "--decimal", "dot"], "--decimal"),
        (["--currency", "GBP", "--quote", "single"], "--quote"),
        (["--currency", "GBP", "--separator", "ab"], "--separator"),
        (["--currency", "GBP", "--encoding", "rot13"], "--encoding"),
        (["--currency", "GBP", "--column", "Price=x"], "--column"),
        (["--currency", "GBP", "--country", "UK=UK"], "--country"),
    ],
)
def test_an_option_that_means_nothing_is_refused(tmp_path: Path, option: list[str], words: str) -> None:
    written(tmp_path / "in.csv", GOOD)
    assert words in refused("in.csv", *option, *ELSEWHERE, cwd=tmp_path)


def test_ctrl_c_ends_an_import_without_a_traceback_with_130(tmp_path: Path) -> None:
    """While the file is read."""
    file = tmp_path / "in.csv"
    with file.open("w") as out:
        out.write(HEADER + "\n")
        out.writelines(GOOD.replace("1,", f"{number},", 1) + "\n" for number in range(400_000))
    process = subprocess.Popen(
        command("import", str(file), "--currency", "GBP", "--dry-run"),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=tmp_path,
    )
    assert process.stderr is not None
    # It has told how the file is written: its rows come next.
    first = process.stderr.readline()
    assert first.startswith("in.csv: UTF-8"), first
    os.kill(process.pid, signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "Traceback" not in said
