"""`python -m infra.deploy.dev_ca DIR`: a development certificate authority, and a certificate per service."""

from __future__ import annotations

import ipaddress
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from infra.deploy.nats_keys import KeysUnusable, users
from infra.security.development_issuer import write_secret

AUTHORITY = "ca"
SERVERS = ("nats", "postgres", "mongo", "provider", "edge", "contexts")
"""Who has a certificate besides the users of NATS; `contexts` is all of them in one process."""

AUTHORITY_LIFETIME = timedelta(days=1825)
LIFETIME = timedelta(days=397)
BEFORE = timedelta(minutes=5)
"""Clocks differ."""
OPEN_TO_OTHERS = 0o077
LISTED = 0o711
READABLE = 0o444
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")
EXTRA_NAMES = {"read_models": ("read-models", "read-models-a", "read-models-b")}


class AuthorityUnusable(Exception):
    """Certificates cannot be made; the message says why and what to do."""


class Authority:
    """A certificate authority: certificate and private key."""

    def __init__(self, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
        self.certificate = certificate
        self._key = key

    @classmethod
    def new(cls, name: str = "Orderfold development CA") -> Authority:
        """An authority of today."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = _name(name)
        usage = _usage(signs_certificates=True)
        certificate = (
            _begun(subject, subject, key.public_key(), AUTHORITY_LIFETIME)
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(usage, critical=True)
            .sign(key, hashes.SHA256())
        )
        return cls(certificate, key)

    @classmethod
    def load(cls, folder: Path) -> Authority:
        """The authority in a folder; raises AuthorityUnusable."""
        files = certificate_file(folder, AUTHORITY), key_file(folder, AUTHORITY)
        try:
            certificate = x509.load_pem_x509_certificate(files[0].read_bytes())
            key = serialization.load_pem_private_key(files[1].read_bytes(), password=None)
        except (OSError, ValueError, TypeError) as error:
            raise AuthorityUnusable(
                f"the authority in {folder} cannot be used ({error}); --anew replaces it and all it signed"
            ) from None
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise AuthorityUnusable(
                f"{files[1]} is not the key of {files[0]}; --anew replaces both and all they signed"
            )
        if certificate.not_valid_after_utc <= datetime.now(UTC):
            raise AuthorityUnusable(f"{files[0]} has expired; --anew replaces it and all it signed")
        return cls(certificate, key)

    def save(self, folder: Path) -> None:
        """Write it into a folder."""
        _write(folder, AUTHORITY, self.certificate, self._key)

    def issue(
        self, folder: Path, name: str, hosts: Sequence[str] = (), *, lifetime: timedelta = LIFETIME
    ) -> None:
        """Write a new key and a certificate for it, good for a server and for a client of this name."""
        key = ec.generate_private_key(ec.SECP256R1())
        usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
        signer = self.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        certificate = (
            _begun(_name(name), self.certificate.subject, key.public_key(), lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage(usages), critical=False)
            .add_extension(
                x509.SubjectAlternativeName([_alternative(host) for host in hosts]), critical=False
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(signer), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )
        _write(folder, name, certificate, key)


def certificate_file(folder: Path, name: str) -> Path:
    """Where a certificate is."""
    return folder / f"{name}.pem"


def key_file(folder: Path, name: str) -> Path:
    """Where the key of a certificate is."""
    return folder / f"{name}.key"


def services() -> tuple[str, ...]:
    """Who has a certificate; raises KeysUnusable."""
    return (*SERVERS, *users())


def make_certificates(folder: Path, *, anew: bool = False, hosts: Sequence[str] = ()) -> list[str]:
    """Make what is missing, or all of it `anew`; the names made.

    `hosts` are further names and addresses that servers are reached by.
    Raises AuthorityUnusable, KeysUnusable, OSError, and ValueError for a host that is none.
    """
    names = services()
    folder.mkdir(parents=True, exist_ok=True)
    there = [name for name in (AUTHORITY, *names) if not anew and _exists(folder, name)]
    if AUTHORITY in there:
        authority = Authority.load(folder)
    elif there:
        raise AuthorityUnusable(
            f"{folder} holds certificates of an authority that is not there; --anew replaces them all"
        )
    else:
        authority = Authority.new()
        authority.save(folder)
    made = [name for name in names if name not in there]
    for name in made:
        authority.issue(folder, name, (name, *EXTRA_NAMES.get(name, ()), *LOCAL_NAMES, *hosts))
    return made


def admit_containers(folder: Path) -> None:
    """Let everybody read the files, if only their owner gets to them; raises AuthorityUnusable, OSError.

    Containers run under users of their own, and see files one by one, by mounts.
    """
    around = folder.absolute().parent
    if around.stat().st_mode & OPEN_TO_OTHERS:
        raise AuthorityUnusable(f"the keys would be open to everybody: chmod 700 {around}, or choose another")
    folder.chmod(LISTED)
    for file in folder.iterdir():
        file.chmod(READABLE)
    # No container signs anything.
    key_file(folder, AUTHORITY).chmod(0o600)


def _exists(folder: Path, name: str) -> bool:
    """Whether both files are there; neither is overwritten, so one alone raises AuthorityUnusable."""
    files = certificate_file(folder, name), key_file(folder, name)
    there = [file.exists() for file in files]
    if any(there) and not all(there):
        kept, missing = (files[0], files[1]) if there[0] else (files[1], files[0])
        raise AuthorityUnusable(
            f"{missing} is missing beside {kept}; delete that, or replace all with --anew"
        )
    return all(there)


def _begun(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, lifetime: timedelta
) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(now, now + lifetime) - BEFORE)
        .not_valid_after(now + lifetime)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )


def _name(common: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common)])


def _alternative(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _write(folder: Path, name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey) -> None:
    """The key first: a certificate is never there without it."""
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    write_secret(key_file(folder, name), private)
    certificate_file(folder, name).write_bytes(certificate.public_bytes(pem))


def run(
    folder: Annotated[Path, typer.Argument(help="Where the certificates and keys are, or will be.")],
    *,
    anew: Annotated[
        bool, typer.Option("--anew", help="Replace the authority, and all certificates and keys.")
    ] = False,
    containers: Annotated[
        bool,
        typer.Option("--containers", help="Let containers read the keys; FOLDER's own folder is closed."),
    ] = False,
    host: Annotated[
        list[str] | None, typer.Option(help="A further name or address that servers are reached by.")
    ] = None,
) -> None:
    """Make a certificate authority for development, and a certificate with its key for each service.

    FOLDER/ca.pem is what everybody believes, FOLDER/<service>.pem and .key who a service is, as a server and
    as a client. What exists stays as it is. Keys can be read by their owner alone.
    """
    try:
        made = make_certificates(folder, anew=anew, hosts=host or ())
        if containers:
            admit_containers(folder)
    except (AuthorityUnusable, KeysUnusable) as error:
        fail(str(error))
    except OSError as error:
        fail(f"{folder} cannot be written to: {error.strerror}; choose another folder")
    except ValueError as error:
        fail(f"a --host cannot be used: {error}")
    sys.stdout.write(f"{len(made)} certificates made in {folder}\n")


def fail(message: str) -> None:
    """End with one line and status 2."""
    sys.stderr.write(f"dev_ca: {message}\n")
    raise SystemExit(2) from None


if __name__ == "__main__":
    typer.run(run)
