"""What the machine itself brings: Python, libraries, room on the disk, who may read the secrets."""

from __future__ import annotations

import shutil
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from gateway.cli.doctor.finding import Checked
from infra.embedded.data_folder import DataFolder
from infra.settings import Settings

LIBRARIES = (
    "orderfold",
    "litestar",
    "granian",
    "nats-py",
    "eventsourcing",
    "motor",
    "pymongo",
    "msgspec",
    "psycopg",
)
ENOUGH_BYTES = 1_000_000_000
OPEN_TO_OTHERS = 0o077


def check_machine(settings: Settings) -> list[Checked]:
    """Everything that needs no server."""
    return [check_python(), check_libraries(), check_disk(settings.data), *check_secrets(settings)]


def check_python() -> Checked:
    """The interpreter's version."""
    seen = ".".join(map(str, sys.version_info[:3]))
    return Checked("Python", seen, "" if sys.version_info >= (3, 11) else "install Python 3.11 or newer")


def check_libraries() -> Checked:
    """The libraries' versions."""
    seen, missing = [], []
    for name in LIBRARIES:
        try:
            seen.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            missing.append(name)
    fix = (
        f"install {', '.join(missing)}: pip install --require-hashes -r requirements.lock" if missing else ""
    )
    return Checked("libraries", ", ".join(seen), fix)


def check_disk(folder: Path) -> Checked:
    """Room where the data is."""
    place = folder.absolute()
    while not place.exists():
        place = place.parent
    free = shutil.disk_usage(place).free
    fix = "" if free >= ENOUGH_BYTES else f"make room: at least {ENOUGH_BYTES / 1e9:.0f} GB on that disk"
    return Checked("disk", f"{free / 1e9:,.1f} GB free at {place}", fix)


def check_secrets(settings: Settings) -> list[Checked]:
    """Nobody else may read the keys."""
    files = [
        DataFolder(settings.data).keys / "signing.pem",
        settings.webhook_secret,
        settings.nats_credentials,
        settings.tls_key,
        settings.gateway_tls_key,
    ]
    found = []
    for file in files:
        if file is not None and file.exists():
            mode = file.stat().st_mode & 0o777
            fix = f"chmod 600 {file}" if mode & OPEN_TO_OTHERS else ""
            found.append(Checked("secret file", f"{file} {mode:o}", fix))
    return found
