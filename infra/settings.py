"""Settings: `ORDERFOLD_*` environment variables, read once into one struct."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import parse_qs, quote, urlsplit

import msgspec
from msgspec import Meta

from infra.security.tls_files import TlsFileUnusable, check_authority, check_identity, key_for_libpq

PREFIX = "ORDERFOLD_"

POSTGRES_TLS = frozenset({"require", "verify-ca", "verify-full"})
"""Values of `sslmode` that ask for TLS and take nothing less."""

RequestLimit = Annotated[str, Meta(pattern=r"^([1-9][0-9]{0,8}/[1-9][0-9]{0,4}|off)$")]
Origins = Annotated[str, Meta(pattern=r"^(\*|https?://[^/,\s]+(,https?://[^/,\s]+)*)?$")]
WhatIsLogged = Literal["on", "errors", "off"]


class SettingsInvalid(Exception):
    """An environment variable has a value that cannot be used; the message names the variable."""


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """Everything that may differ between installations. `orderfold doctor --settings` lists it."""

    data: Annotated[Path, Meta(description="folder of the embedded stack's data")] = Path(".orderfold")
    store: Annotated[
        str,
        Meta(
            description="event stores: sqlite:FOLDER (one file per context) or postgresql://… with {context} "
            "standing for the context's name"
        ),
    ] = ""
    store_password_file: Annotated[
        Path | None, Meta(description="file with the password of the stores' PostgreSQL user")
    ] = None
    nats_url: Annotated[str, Meta(description="NATS server(s), comma-separated")] = "nats://127.0.0.1:4222"
    nats_credentials: Annotated[Path | None, Meta(description="file with an nkey seed to connect with")] = (
        None
    )
    nats_monitor_url: Annotated[str, Meta(description="NATS server's monitoring address")] = (
        "http://127.0.0.1:8222"
    )
    stream_replicas: Annotated[
        int,
        Meta(ge=1, le=5, description="NATS servers that hold each stream; counts when a stream is created"),
    ] = 1
    mongo_url: Annotated[str, Meta(description="MongoDB replica set")] = "mongodb://127.0.0.1:27017"
    mongo_password_file: Annotated[
        Path | None, Meta(description="file with the password of the user that mongo_url names")
    ] = None
    mongod: Annotated[
        str,
        Meta(
            description="the embedded stack's mongod, or secantusdb "
            "[default: the one on PATH, the wheel's; SecantusDB where neither runs]"
        ),
    ] = ""
    mongo_database: Annotated[str, Meta(description="database of the read models")] = "orderfold"
    replay_patience: Annotated[
        float, Meta(gt=0, description="seconds a replay retries before it fails; resume it then")
    ] = 30.0
    host: Annotated[str, Meta(description="address the gateway listens on")] = "127.0.0.1"
    port: Annotated[int, Meta(ge=1, le=65535, description="port the gateway listens on")] = 8080
    metrics_host: Annotated[
        str, Meta(description="address contexts and read models serve metrics and health on")
    ] = "127.0.0.1"
    metrics_port: Annotated[
        int, Meta(ge=0, le=65535, description="port they serve metrics and health on; 0: none")
    ] = 0
    tls_ca: Annotated[
        Path | None,
        Meta(
            description="CA bundle used to verify servers [default: the system's]; "
            "TLS is spoken where a URL says so: tls://, tls=true, sslmode=verify-full"
        ),
    ] = None
    tls_certificate: Annotated[
        Path | None,
        Meta(description="file with the client certificate for NATS, MongoDB and PostgreSQL"),
    ] = None
    tls_key: Annotated[Path | None, Meta(description="file with the key of tls_certificate")] = None
    gateway_tls_certificate: Annotated[
        Path | None,
        Meta(description="file with the certificate the gateway serves HTTPS with [default: HTTP]"),
    ] = None
    gateway_tls_key: Annotated[
        Path | None, Meta(description="file with the key of gateway_tls_certificate")
    ] = None
    limit_reads: Annotated[
        RequestLimit,
        Meta(description="queries one client may send: REQUESTS/SECONDS, or off"),
    ] = "60000/10"
    limit_commands: Annotated[
        RequestLimit,
        Meta(description="commands one client may send: REQUESTS/SECONDS, or off"),
    ] = "60000/10"
    limit_open: Annotated[
        RequestLimit,
        Meta(description="requests without a valid token one address may send: REQUESTS/SECONDS, or off"),
    ] = "1000/10"
    cors_origins: Annotated[
        Origins,
        Meta(description="origins whose web pages may read answers, comma-separated, or *; empty: none"),
    ] = ""
    proxies: Annotated[
        int,
        Meta(ge=0, le=10, description="proxies before the gateway that append to X-Forwarded-For; 0: none"),
    ] = 0
    oidc_issuer: Annotated[
        str, Meta(description="OpenID Connect issuer of bearer tokens; its metadata names its keys")
    ] = ""
    jwks: Annotated[
        str,
        Meta(description="JWKS URL or file with bearer tokens' public keys [default: as oidc_issuer says]"),
    ] = ""
    jwks_max_age: Annotated[
        float, Meta(gt=0, description="seconds for which keys are used while they cannot be read again")
    ] = 86_400.0
    jwt_issuer: Annotated[
        str, Meta(description="`iss` a bearer token must have [default: oidc_issuer, if that is set]")
    ] = "orderfold-embedded"
    jwt_audience: Annotated[str, Meta(description="`aud` a bearer token must have")] = "orderfold"
    roles_claim: Annotated[
        str,
        Meta(
            description="claims of a bearer token that hold roles, comma-separated, as realm_access.roles "
            "[default: roles, role, groups, cognito:groups, realm_access.roles, "
            "resource_access.<jwt_audience>.roles, https://…/roles]"
        ),
    ] = ""
    staff_roles: Annotated[
        str, Meta(description="roles whose tokens are staff's, comma-separated; no other token is")
    ] = "staff"
    customer_roles: Annotated[
        str, Meta(description="roles whose tokens are a customer's own, comma-separated")
    ] = "customer"
    provider_url: Annotated[str, Meta(description="payment provider")] = "http://127.0.0.1:8090"
    provider_timeout: Annotated[float, Meta(gt=0, description="seconds to wait for the provider")] = 5.0
    reconcile_every: Annotated[
        float,
        Meta(ge=0, description="seconds between comparisons of the provider's books with ours; 0: never"),
    ] = 300.0
    reconcile_window: Annotated[
        float,
        Meta(gt=0, description="seconds before the start that the first comparison covers"),
    ] = 604_800.0
    webhook_secret: Annotated[
        Path | None, Meta(description="file with the secret of the provider's webhooks")
    ] = None
    key_store: Annotated[
        str,
        Meta(
            description="customers' keys: sqlite:FILE or postgresql://…; never in a store's backups "
            "[default: <data>/vault/customers.db]"
        ),
    ] = ""
    master_key_file: Annotated[
        Path | None,
        Meta(description="file with the master keys of customers' keys [default: <data>/keys/master-keys]"),
    ] = None
    master_key: Annotated[str, Meta(description="the master keys themselves, instead of a file")] = ""
    payment_timeout: Annotated[float, Meta(gt=0, description="seconds until an unpaid order is given up")] = (
        900.0
    )
    otlp_endpoint: Annotated[
        str, Meta(description="OTLP endpoint for traces, such as http://collector:4318; empty: off")
    ] = ""
    trace_sampling: Annotated[
        float, Meta(ge=0, le=1, description="share of the traces begun here that are recorded")
    ] = 1.0
    otlp_logs: Annotated[bool, Meta(description="whether logs go to otlp_endpoint, too, beside stdout")] = (
        False
    )
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["auto", "json", "console"] = "auto"
    access_log: Annotated[
        WhatIsLogged,
        Meta(description="which HTTP requests and commands get a line: all, those not accepted, none"),
    ] = "errors"

    @property
    def log_json(self) -> bool | None:
        """Whether logs are JSON; None lets the terminal decide."""
        return None if self.log_format == "auto" else self.log_format == "json"

    @property
    def log_endpoint(self) -> str:
        """Where logs go by OTLP; empty: to stdout alone."""
        return self.otlp_endpoint if self.otlp_logs else ""

    @property
    def client_tls(self) -> tuple[Path | None, Path | None, Path | None]:
        """The CA bundle, certificate and key of connections to servers, for `infra.security.tls`."""
        return self.tls_ca, self.tls_certificate, self.tls_key

    @property
    def key_store_url(self) -> str:
        """Where customers' keys are: a `sqlite:` file or a `postgresql://` database with its password.

        Raises SettingsInvalid if the password cannot be read.
        """
        return self._with_secrets(self.key_store or f"sqlite:{self.data / 'vault' / 'customers.db'}")

    def store_url(self, context: str) -> str:
        """Where a context's event store is: a `sqlite:` file or a `postgresql://` database with its password.

        Raises SettingsInvalid if the password cannot be read.
        """
        base = self.store or f"sqlite:{self.data / 'stores'}"
        if base.startswith("sqlite:"):
            return f"{base}/{context}.db"
        return self._with_secrets(base.replace("{context}", context))

    def _with_secrets(self, url: str) -> str:
        """The address of a PostgreSQL database with what else is needed to connect; others as they are."""
        if not url.startswith("postgres"):
            return url
        added = self._postgres_tls(url)
        if self.store_password_file is not None:
            added["password"] = read_password(self.store_password_file)
        query = "&".join(f"{name}={quote(value, safe='')}" for name, value in added.items())
        return url if not query else f"{url}{'&' if '?' in url else '?'}{query}"

    def _postgres_tls(self, url: str) -> dict[str, str]:
        """What libpq needs beside an `sslmode` that asks for TLS."""
        given = parse_qs(urlsplit(url).query)
        if not POSTGRES_TLS & set(given.get("sslmode", ())):
            return {}
        added = {"ssl_min_protocol_version": "TLSv1.3"}
        if self.tls_ca is not None or "verify-full" in given["sslmode"]:
            added["sslrootcert"] = str(self.tls_ca or "system")
        if self.tls_certificate is not None and self.tls_key is not None:
            added |= {"sslcert": str(self.tls_certificate), "sslkey": str(key_for_libpq(self.tls_key))}
        return {name: value for name, value in added.items() if name not in given}

    @property
    def gateway_url(self) -> str:
        """Where the gateway is found from this machine."""
        scheme = "http" if self.gateway_tls_certificate is None else "https"
        host = "127.0.0.1" if self.host in {"0.0.0.0", "::"} else self.host  # noqa: S104 - compared, not bound
        return f"{scheme}://{host}:{self.port}"

    @property
    def mongo_password(self) -> str | None:
        """The password to connect to MongoDB with, if a file holds one; raises SettingsInvalid."""
        return None if self.mongo_password_file is None else read_password(self.mongo_password_file)


def read_password(file: Path) -> str:
    """The password in a file, without the end of its line; raises SettingsInvalid."""
    try:
        password = file.read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsInvalid(f"the password file {file} cannot be read: {error}") from None
    if not password:
        raise SettingsInvalid(f"the password file {file} is empty")
    return password


def load_settings(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; raises SettingsInvalid for a name that is none or a value that does not fit."""
    given = {
        name.removeprefix(PREFIX).lower(): value
        for name, value in environ.items()
        if name.startswith(PREFIX) and value != ""
    }
    known = {field.name for field in msgspec.structs.fields(Settings)}
    for name in given:
        if name not in known:
            msg = f"{PREFIX}{name.upper()} is no setting; `orderfold doctor --settings` lists them"
            raise SettingsInvalid(msg)
    if "oidc_issuer" in given:
        given.setdefault("jwt_issuer", given["oidc_issuer"])
    try:
        settings = msgspec.convert(given, Settings, strict=False, dec_hook=lambda kind, value: kind(value))
    except msgspec.ValidationError as error:
        msg = f"a setting does not fit: {error} (`orderfold doctor --settings` lists them)"
        raise SettingsInvalid(msg) from None
    check_tls(settings)
    return settings


def check_tls(settings: Settings) -> None:
    """Raise SettingsInvalid unless the files that are set to speak TLS with can be used."""
    try:
        if settings.tls_ca is not None:
            check_authority("ORDERFOLD_TLS_CA", settings.tls_ca)
        check_identity(
            "ORDERFOLD_TLS_CERTIFICATE", settings.tls_certificate, "ORDERFOLD_TLS_KEY", settings.tls_key
        )
        check_identity(
            "ORDERFOLD_GATEWAY_TLS_CERTIFICATE",
            settings.gateway_tls_certificate,
            "ORDERFOLD_GATEWAY_TLS_KEY",
            settings.gateway_tls_key,
        )
    except TlsFileUnusable as error:
        raise SettingsInvalid(str(error)) from None
