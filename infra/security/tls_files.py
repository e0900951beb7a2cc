"""The files that TLS is spoken with: whether they can be used, told before anybody connects with them."""

from __future__ import annotations

import atexit
import functools
import shutil
import stat
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key

from infra.security.development_issuer import write_secret

MAKING = "`python -m infra.deploy.dev_ca DIR` makes some for development"
RENEWING = "have it renewed (`python -m infra.deploy.dev_ca DIR --anew`, if it is of the development CA)"


class TlsFileUnusable(Exception):
    """A certificate or key cannot be used; the message names the setting, the file and the fix."""


def check_authority(setting: str, file: Path) -> None:
    """Raise TlsFileUnusable unless the file holds certificates of authorities that are valid now."""
    for certificate in _certificates(setting, file):
        _check_time(setting, file, certificate)


def check_identity(setting: str, certificate: Path | None, key_setting: str, key: Path | None) -> None:
    """Raise TlsFileUnusable unless both are given, or neither, and the key is that of the certificate."""
    if certificate is None and key is None:
        return
    if certificate is None or key is None:
        missing, there = (setting, key_setting) if certificate is None else (key_setting, setting)
        raise TlsFileUnusable(f"{there} needs {missing}, too: a certificate is of use with its key alone")
    own, *chain = _certificates(setting, certificate)
    for each in (own, *chain):
        _check_time(setting, certificate, each)
    if _public(own) != _public_of_key(key_setting, key):
        raise TlsFileUnusable(
            f"{key_setting}: {key} is not the key of {certificate}; set both to the files of one pair"
        )


def _certificates(setting: str, file: Path) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(_content(setting, file))
    except ValueError:
        raise TlsFileUnusable(f"{setting}: {file} holds no certificate in PEM form; {MAKING}") from None


def _public_of_key(setting: str, file: Path) -> bytes:
    try:
        key = load_pem_private_key(_content(setting, file), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise TlsFileUnusable(
            f"{setting}: {file} holds no private key in PEM form without a password; {MAKING}"
        ) from None
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _public(certificate: x509.Certificate) -> bytes:
    return certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _content(setting: str, file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise TlsFileUnusable(f"{setting}: {file} cannot be read ({error.strerror}); {MAKING}") from None


def _check_time(setting: str, file: Path, certificate: x509.Certificate) -> None:
    now = datetime.now(UTC)
    name = certificate.subject.rfc4514_string()
    if certificate.not_valid_after_utc <= now:
        raise TlsFileUnusable(
            f"{setting}: the certificate of {name} in {file} expired at "
            f"{certificate.not_valid_after_utc:%Y-%m-%d %H:%M} UTC; {RENEWING}"
        )
    if certificate.not_valid_before_utc > now:
        raise TlsFileUnusable(
            f"{setting}: the certificate of {name} in {file} is valid from "
            f"{certificate.not_valid_before_utc:%Y-%m-%d %H:%M} UTC on; is this machine's clock right?"
        )


@functools.cache
def key_for_libpq(file: Path) -> Path:
    """A key's file as PostgreSQL's library takes it: nobody else may read it.

    Secrets are mounted into containers with the owner and mode they have outside, so others may have to be
    let read them there; of such a file a copy is made that lasts as long as the process.
    """
    status = file.stat()
    refused = (
        stat.S_IWGRP | stat.S_IXGRP | stat.S_IRWXO if status.st_uid == 0 else stat.S_IRWXG | stat.S_IRWXO
    )
    if not status.st_mode & refused:
        return file
    folder = Path(tempfile.mkdtemp(prefix="orderfold-tls-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    copy = folder / "client.key"
    write_secret(copy, file.read_bytes())
    return copy
