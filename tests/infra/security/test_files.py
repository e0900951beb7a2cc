"""A file that TLS cannot be spoken with is named before anything is begun, with what to do about it."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from infra.deploy.dev_ca import Authority, certificate_file, key_file
from infra.security.tls_files import key_for_libpq
from infra.settings import Settings, SettingsInvalid, load_settings
from tests.infra.security.authority import Certificates
from tests.support.deadlines import COMMAND_SECONDS

ROOT = Path(__file__).parents[3]


def refusal(**files: Path) -> str:
    with pytest.raises(SettingsInvalid) as refused:
        load_settings({f"ORDERFOLD_{name.upper()}": str(file) for name, file in files.items()})
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_files_that_fit_are_taken(certificates: Certificates) -> None:
    settings = load_settings(
        {f"ORDERFOLD_{name.upper()}": str(file) for name, file in certificates.identity("catalog").items()}
    )
    assert settings.tls_key == certificates.key("catalog")


def test_a_missing_file_is_named_with_the_command_that_makes_it(tmp_path: Path) -> None:
    missing = tmp_path / "ca.pem"
    said = refusal(tls_ca=missing)
    assert f"ORDERFOLD_TLS_CA: {missing} cannot be read (No such file or directory)" in said
    assert "python -m infra.deploy.dev_ca" in said


def test_a_certificate_without_its_key_is_of_no_use(certificates: Certificates) -> None:
    said = refusal(tls_certificate=certificates.certificate("catalog"))
    assert "ORDERFOLD_TLS_CERTIFICATE needs ORDERFOLD_TLS_KEY" in said
    said = refusal(gateway_tls_key=certificates.key("gateway"))
    assert "ORDERFOLD_GATEWAY_TLS_KEY needs ORDERFOLD_GATEWAY_TLS_CERTIFICATE" in said


def test_a_key_of_another_certificate_is_named(certificates: Certificates) -> None:
    key = certificates.key("nats")
    said = refusal(tls_certificate=certificates.certificate("catalog"), tls_key=key)
    assert f"ORDERFOLD_TLS_KEY: {key} is not the key of" in said


def test_files_that_hold_something_else_are_named(certificates: Certificates) -> None:
    pair = {"tls_certificate": certificates.certificate("catalog"), "tls_key": certificates.key("catalog")}
    swapped = {"tls_certificate": pair["tls_key"], "tls_key": pair["tls_certificate"]}
    assert "holds no certificate in PEM form" in refusal(**swapped)
    assert "holds no private key in PEM form" in refusal(**pair | {"tls_key": certificates.ca})


def test_an_expired_certificate_is_named_with_what_renews_it(tmp_path: Path) -> None:
    Authority.new().issue(tmp_path, "old", ("localhost",), lifetime=timedelta(seconds=-1))
    said = refusal(tls_certificate=certificate_file(tmp_path, "old"), tls_key=key_file(tmp_path, "old"))
    assert "CN=old" in said
    assert "expired at" in said
    assert "--anew" in said
    assert "expired at" in refusal(tls_ca=certificate_file(tmp_path, "old"))


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (["contexts", "catalog"], "contexts"),
        (["read_models", "run"], "read_models"),
        (["gateway"], "gateway"),
        (["orderfold", "token"], "orderfold"),
    ],
)
def test_every_process_ends_with_status_2_and_one_line(tmp_path: Path, command: list[str], name: str) -> None:
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(ROOT),
        "ORDERFOLD_DATA": str(tmp_path),
        "ORDERFOLD_TLS_CA": str(tmp_path / "nowhere.pem"),
    }
    ended = subprocess.run(
        [sys.executable, "-m", *command],
        env=env,
        check=False,
        timeout=COMMAND_SECONDS,
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 2
    (line,) = ended.stderr.splitlines()
    assert line.startswith(f"{name}: ORDERFOLD_TLS_CA: ")
    assert ended.stdout == ""


def test_postgresqls_library_gets_a_copy_of_a_key_that_others_may_read(tmp_path: Path) -> None:
    own, mounted = tmp_path / "own.key", tmp_path / "mounted.key"
    for file, mode in ((own, 0o600), (mounted, 0o444)):
        file.write_text("key")
        file.chmod(mode)
    assert key_for_libpq(own) == own
    copy = key_for_libpq(mounted)
    assert copy.read_text() == "key"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    assert stat.S_IMODE(copy.parent.stat().st_mode) == 0o700


def test_postgresql_without_an_authority_of_ones_own_is_believed_by_the_systems() -> None:
    url = Settings(store="postgresql://u@db/x?sslmode=verify-full").store_url("catalog")
    assert url.endswith("?sslmode=verify-full&ssl_min_protocol_version=TLSv1.3&sslrootcert=system")


def test_addresses_that_ask_for_no_tls_stay_as_they_are(certificates: Certificates) -> None:
    for url in ("postgresql://u@db/x", "postgresql://u@db/x?sslmode=prefer"):
        assert Settings(store=url, **certificates.identity("catalog")).store_url("catalog") == url
