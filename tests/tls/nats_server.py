"""nats-server with the configuration that speaks TLS alone and wants to know its clients."""

from __future__ import annotations

from pathlib import Path

from infra.nats_keys import CONFIGURATION, make_keys, seed_file
from infra.servers import Process, executable, free_port, listening
from infra.settings import Settings
from tests.tls.authority import Certificates

WITH_TLS = CONFIGURATION.with_name("nats-server-tls.conf")


class TlsNats:
    """The server, with users and certificates."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        self.keys = folder / "keys"
        self.port, self.monitor_port = free_port(), free_port()
        make_keys(self.keys)
        # Nothing differs from the files but where things are.
        plain = CONFIGURATION.read_text().replace('"/data"', f'"{folder / "data"}"')
        (self.keys / CONFIGURATION.name).write_text(plain)
        text = WITH_TLS.read_text()
        for name in ("nats.pem", "nats.key", "ca.pem"):
            assert f'"/etc/nats/tls/{name}"' in text
            text = text.replace(f'"/etc/nats/tls/{name}"', f'"{certificates.folder / name}"')
        (self.keys / WITH_TLS.name).write_text(text)
        command = [
            executable("nats-server"),
            *("-c", str(self.keys / WITH_TLS.name)),
            *("-a", "127.0.0.1", "-p", str(self.port), "-m", str(self.monitor_port)),
        ]
        self.log = folder / "nats.log"
        self.process = Process("nats-server", command, self.log, lambda: listening(self.port))

    @property
    def url(self) -> str:
        return f"tls://127.0.0.1:{self.port}"

    def settings(self, user: str, **files: Path | None) -> Settings:
        """How a user connects; `files` instead of those it would have."""
        identity = {**self.certificates.identity(user), **files}
        return Settings(nats_url=self.url, nats_credentials=seed_file(self.keys, user), **identity)
