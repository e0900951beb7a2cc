"""Master keys: what every person's key is wrapped with, from a file or the environment."""

from __future__ import annotations

import base64
import binascii
import secrets
from pathlib import Path

from infra.security.development_issuer import write_secret
from infra.settings import Settings, SettingsInvalid
from infra.vault.encryption import KEY_BYTES, DecryptionFailed, decrypt, encrypt, new_key

LARGEST_FILE = 100_000


class MasterKeyUnknown(Exception):
    """A key was wrapped with a master key that is not at hand."""


class MasterKeys:
    """Master keys by their ids. The first wraps; every one unwraps, so that they can be exchanged."""

    def __init__(self, keys: dict[str, bytes]) -> None:
        self._keys = keys
        self.current = next(iter(keys))

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all of them, the current one first."""
        return tuple(self._keys)

    def wrap(self, key: bytes, subject: str) -> bytes:
        """A subject's key, encrypted with the current master key."""
        return encrypt(self._keys[self.current], key, subject)

    def unwrap(self, master_id: str, wrapped: bytes, subject: str) -> bytes:
        """A subject's key; raises MasterKeyUnknown or DecryptionFailed."""
        try:
            master = self._keys[master_id]
        except KeyError:
            raise MasterKeyUnknown(
                f"customers' keys are wrapped with the master key {master_id!r}, which is not among those "
                f"configured, and their data cannot be read: restore it from its backup"
            ) from None
        try:
            return decrypt(master, wrapped, subject)
        except DecryptionFailed:
            raise DecryptionFailed(
                f"the key of {subject} in the key store was changed, or is wrapped with another master key "
                f"of the id {master_id!r}"
            ) from None

    def exchanged(self) -> MasterKeys:
        """These and a new one, which becomes the current."""
        return MasterKeys({secrets.token_hex(4): new_key(), **self._keys})

    def current_only(self) -> MasterKeys:
        """The current one without the others."""
        return MasterKeys({self.current: self._keys[self.current]})

    def without(self, name: str) -> MasterKeys:
        """All but one that is not the current."""
        return MasterKeys({other: key for other, key in self._keys.items() if other != name})

    def text(self) -> str:
        """A line each, as `parse` reads them."""
        return "".join(f"{name} {base64.b64encode(key).decode()}\n" for name, key in self._keys.items())


def new_master_keys() -> MasterKeys:
    """One new master key."""
    return MasterKeys({secrets.token_hex(4): new_key()})


def parse(text: str, source: str) -> MasterKeys:
    """Read lines (or, in an environment variable, parts between commas) of an id and 32 bytes in base64.

    Raises SettingsInvalid, which never quotes what it read.
    """
    keys: dict[str, bytes] = {}
    for line in text.replace(",", "\n").splitlines():
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        try:
            name, encoded = words
            key = base64.b64decode(encoded, validate=True)
        except (ValueError, binascii.Error):
            raise SettingsInvalid(f"{source} has a line that is no master key: `ID BASE64` is") from None
        if len(key) != KEY_BYTES or name in keys:
            raise SettingsInvalid(f"{source}: the master key {name!r} is not 32 bytes, or is there twice")
        keys[name] = key
    if not keys:
        raise SettingsInvalid(f"{source} has no master key; `orderfold keys new` makes one")
    return MasterKeys(keys)


def master_keys_file(settings: Settings) -> Path:
    """The file of the master keys, whether or not it is used or there."""
    return settings.master_key_file or settings.data / "keys" / "master-keys"


class MasterKeySource:
    """The master keys that settings name; a file is read again when it has changed."""

    def __init__(self, settings: Settings) -> None:
        """Raises SettingsInvalid, which names the fix."""
        self._given = parse(settings.master_key, "ORDERFOLD_MASTER_KEY") if settings.master_key else None
        self._path = master_keys_file(settings)
        self._seen: tuple[int, int, int] | None = None
        self._read: MasterKeys | None = None
        self()

    def __call__(self) -> MasterKeys:
        """The keys as they are now; raises SettingsInvalid."""
        if self._given is not None:
            return self._given
        try:
            status = self._path.stat()
            seen = (status.st_mtime_ns, status.st_ino, status.st_size)
            if self._read is None or seen != self._seen:
                if status.st_size > LARGEST_FILE:
                    raise SettingsInvalid(f"{self._path} is larger than {LARGEST_FILE:,} bytes")
                self._read, self._seen = parse(self._path.read_text(), str(self._path)), seen
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is no text"
            raise SettingsInvalid(
                f"the master keys {self._path} cannot be read ({reason}), and without them no customer's "
                f"data; restore the file from its backup, name another with ORDERFOLD_MASTER_KEY_FILE, or "
                f"make the first with `orderfold keys new`"
            ) from None
        return self._read


def write_master_keys(path: Path, keys: MasterKeys) -> None:
    """Write the file, whole or not at all, for its owner alone."""
    write_secret(path, keys.text().encode())
