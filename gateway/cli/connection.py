"""The stack a command talks to: as its last `orderfold up` wrote it down; explicit settings win."""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path

from gateway.auth.roles import Role, minted_role
from gateway.cli.errors import CommandFailed
from gateway.http.guard import SCOPES
from infra.embedded.data_folder import DataFolder, FolderUnusable
from infra.security.development_issuer import SigningKeyMissing, SigningKeys
from infra.settings import Settings, SettingsInvalid, load_settings

IMPORT_LIFETIME = timedelta(hours=24)


def settings_of(data: Path | None) -> Settings:
    """The settings of the stack on a data folder; raises CommandFailed."""
    try:
        explicit = load_settings()
        folder = DataFolder(data or explicit.data)
        written = folder.read_environment()
        kept = {"ORDERFOLD_DATA": str(folder.root)} if data else {}
        return load_settings({**written, **os.environ, **kept})
    except (SettingsInvalid, FolderUnusable) as error:
        raise CommandFailed(str(error)) from None


def running_settings(data: Path | None) -> Settings:
    """The same for a command that needs a stack; raises CommandFailed if none was ever started or named."""
    settings = settings_of(data)
    if not DataFolder(settings.data).environment.exists() and "ORDERFOLD_NATS_URL" not in os.environ:
        raise CommandFailed(
            f"no stack was ever started on {settings.data}; `orderfold up` starts one, "
            "--data names another folder, and ORDERFOLD_* settings name a stack elsewhere"
        )
    return settings


def enter(data: Path | None) -> None:
    """Have this process, and those it starts, work on that stack; raises CommandFailed if there is none."""
    settings = running_settings(data)
    written = DataFolder(settings.data).read_environment()
    os.environ.update({**written, **os.environ, "ORDERFOLD_DATA": str(settings.data)})


def url_of(settings: Settings) -> str:
    """Where the stack's gateway is found from this machine."""
    return settings.gateway_url


def mint(
    settings: Settings, scopes: list[str], subject: str, lifetime: timedelta, role: Role = Role.STAFF
) -> str:
    """A bearer token of the embedded issuer; raises CommandFailed or SettingsInvalid."""
    try:
        keys = SigningKeys.load(DataFolder(settings.data).keys)
    except SigningKeyMissing as error:
        raise CommandFailed(str(error)) from None
    return keys.mint(
        scopes or list(SCOPES),
        subject=subject,
        lifetime=lifetime,
        issuer=settings.jwt_issuer,
        audience=settings.jwt_audience,
        role=minted_role(settings, role),
    )
