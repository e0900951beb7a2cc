"""One command makes the development CA's certificates; it never overwrites what is there."""

from __future__ import annotations

import stat
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from infra.deploy.dev_ca import AUTHORITY, Authority, AuthorityUnusable, make_certificates, services
from infra.deploy.nats_keys import users
from tests.infra.security.authority import Certificates
from tests.support.deadlines import COMMAND_SECONDS

ROOT = Path(__file__).parents[3]


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "infra.deploy.dev_ca", *arguments],
        cwd=ROOT,
        check=False,
        timeout=COMMAND_SECONDS,
        capture_output=True,
        text=True,
    )


def test_the_command_makes_a_certificate_for_every_service(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "here"
    done = command(folder)
    assert done.returncode == 0
    assert done.stdout == f"{len(services())} certificates made in {folder}\n"
    assert set(contents(folder)) == {
        f"{name}.{kind}" for name in (AUTHORITY, *services()) for kind in ("pem", "key")
    }
    assert {*users(), "nats", "postgres", "mongo"} <= set(services())
    for key in folder.glob("*.key"):
        assert stat.S_IMODE(key.stat().st_mode) == 0o600


@pytest.mark.parametrize("name", services())
def test_a_certificate_is_for_a_server_and_a_client_of_its_name(
    certificates: Certificates, name: str
) -> None:
    authority = x509.load_pem_x509_certificate(certificates.ca.read_bytes())
    own = x509.load_pem_x509_certificate(certificates.certificate(name).read_bytes())
    own.verify_directly_issued_by(authority)
    assert own.subject.rfc4514_string() == f"CN={name}"
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    hosts = names.get_values_for_type(x509.DNSName)
    assert {name, "localhost"} <= set(hosts)
    assert {str(ip) for ip in names.get_values_for_type(x509.IPAddress)} == {"127.0.0.1", "::1"}
    usage = own.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not own.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_made_again_everything_stays_as_it_is_and_what_is_missing_is_added(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    assert make_certificates(tmp_path) == []
    assert contents(tmp_path) == before
    for kind in ("pem", "key"):
        (tmp_path / f"nats.{kind}").unlink()
    assert make_certificates(tmp_path) == ["nats"]
    after = contents(tmp_path)
    assert {name for name in after if after[name] != before[name]} == {"nats.pem", "nats.key"}


def test_anew_replaces_all_of_it(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    before = contents(tmp_path)
    assert make_certificates(tmp_path, anew=True, hosts=("shop.example", "10.0.0.7")) == list(services())
    after = contents(tmp_path)
    assert not [name for name in after if after[name] == before[name]]
    own = x509.load_pem_x509_certificate(after["gateway.pem"])
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert "shop.example" in names.get_values_for_type(x509.DNSName)
    assert "10.0.0.7" in map(str, names.get_values_for_type(x509.IPAddress))


@pytest.mark.parametrize("missing", ["nats.pem", "nats.key", "ca.key"])
def test_half_a_pair_is_not_overwritten(tmp_path: Path, missing: str) -> None:
    make_certificates(tmp_path)
    (tmp_path / missing).unlink()
    before = contents(tmp_path)
    with pytest.raises(AuthorityUnusable, match=missing):
        make_certificates(tmp_path)
    assert contents(tmp_path) == before


def test_certificates_of_an_authority_that_is_gone_are_not_mixed_with_others(tmp_path: Path) -> None:
    make_certificates(tmp_path)
    for kind in ("pem", "key"):
        (tmp_path / f"{AUTHORITY}.{kind}").unlink()
    with pytest.raises(AuthorityUnusable, match="--anew"):
        make_certificates(tmp_path)


def test_containers_may_read_keys_in_a_folder_that_only_its_owner_reaches(tmp_path: Path) -> None:
    closed = tmp_path / ".compose"
    closed.mkdir(mode=0o700)
    assert command(closed / "tls", "--containers").returncode == 0
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in (closed / "tls").iterdir()}
    assert modes.pop("ca.key") == 0o600
    assert set(modes.values()) == {0o444}
    closed.chmod(0o755)
    refused = command(closed / "tls", "--containers")
    assert refused.returncode == 2
    assert f"chmod 700 {closed}" in refused.stderr


def test_what_cannot_be_done_is_one_line_and_status_2(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("none")
    (tmp_path / "ca.key").write_text("none")
    (tmp_path / "file").write_text("")
    for folder in (tmp_path, tmp_path / "file"):
        done = command(folder)
        assert done.returncode == 2
        (line,) = done.stderr.splitlines()
        assert line.startswith("dev_ca: ")
        assert str(folder) in line


def test_an_authority_may_outlast_its_certificates_but_not_the_other_way(certificates: Certificates) -> None:
    authority = Authority.load(certificates.folder).certificate
    for name in services():
        own = x509.load_pem_x509_certificate(certificates.certificate(name).read_bytes())
        assert own.not_valid_after_utc < authority.not_valid_after_utc
        assert own.not_valid_after_utc - own.not_valid_before_utc < timedelta(days=398)
