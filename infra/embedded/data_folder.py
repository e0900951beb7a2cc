"""The embedded stack's data folder: where everything lies in it, and the lock that keeps it to one stack."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Mapping
from pathlib import Path
from typing import IO

import msgspec

from infra.security.development_issuer import write_secret
from infra.settings import PREFIX

LARGEST_LOG = 50_000_000
"""A log beyond this many bytes is set aside at the next start; one such is kept."""


class FolderUnusable(Exception):
    """The data folder cannot be used; the message says why and names the fix."""


class DataFolder:
    """The folder named by `--data`, absolute, whether or not it exists yet."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self._lock: IO[str] | None = None

    @property
    def keys(self) -> Path:
        """The embedded issuer's key pair."""
        return self.root / "keys"

    @property
    def webhook_secret(self) -> Path:
        """What the payment sandbox signs its webhooks with."""
        return self.keys / "webhook-secret"

    @property
    def run(self) -> Path:
        """The process ids of the running stack."""
        return self.root / "run"

    @property
    def ports(self) -> Path:
        """The ports chosen at the first start."""
        return self.root / "ports.json"

    @property
    def environment(self) -> Path:
        """The settings the stack's processes were last started with, for the commands that talk to it."""
        return self.root / "environment.json"

    def log(self, name: str) -> Path:
        """The log of one process of the stack."""
        return self.root / "logs" / f"{name}.log"

    def acquire(self) -> None:
        """Make the folder if need be and take it for this process; raises FolderUnusable."""
        try:
            for folder in (self.root, self.keys, self.run, self.root / "logs"):
                folder.mkdir(parents=True, exist_ok=True)
            self.keys.chmod(0o700)
            lock = (self.root / "lock").open("a+")
        except OSError as error:
            msg = f"the data folder {self.root} cannot be used ({error.strerror}); choose another with --data"
            raise FolderUnusable(msg) from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            lock.seek(0)
            holder = lock.read().strip() or "unknown"
            lock.close()
            msg = (
                f"the data folder {self.root} is in use by `orderfold up` (process {holder}); stop that first"
            )
            raise FolderUnusable(msg) from None
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def release(self) -> None:
        """Let go of the folder."""
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def rotate_logs(self) -> None:
        """Set aside the logs that have grown too large, also those beside the servers' data."""
        for log in self.root.glob("*/*.log"):
            if log.stat().st_size > LARGEST_LOG:
                log.replace(log.with_suffix(".log.1"))

    def write_environment(self, environment: Mapping[str, str]) -> None:
        """Keep the settings of the running stack; a store's URL may hold a password."""
        settings = {name: value for name, value in environment.items() if name.startswith(PREFIX)}
        write_secret(self.environment, msgspec.json.format(msgspec.json.encode(settings), indent=2))

    def read_environment(self) -> dict[str, str]:
        """The settings the stack was last started with; none if it never was."""
        try:
            return msgspec.json.decode(self.environment.read_bytes(), type=dict[str, str])
        except FileNotFoundError:
            return {}
        except (OSError, msgspec.DecodeError) as error:
            msg = f"{self.environment} cannot be read ({error}); `orderfold up` writes it anew"
            raise FolderUnusable(msg) from None
