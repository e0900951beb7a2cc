"""nats-server with the configuration that speaks TLS alone and wants to know its clients."""

from __future__ import annotations

from pathlib import Path

import msgspec

from infra.deploy.nats_keys import CONFIGURATION
from infra.embedded.servers import Process
from infra.settings import Settings
from tests.infra.nats.server import GuardedServer
from tests.infra.security.authority import Certificates

WITH_TLS = CONFIGURATION.with_name("nats-server-tls.conf")


class TlsNats(GuardedServer):
    """The server, with users and certificates."""

    def __init__(self, folder: Path, certificates: Certificates) -> None:
        self.certificates = certificates
        super().__init__(folder)

    @property
    def url(self) -> str:
        return super().url.replace("nats://", "tls://")

    def settings(self, user: str, **files: Path | None) -> Settings:
        """How a user connects; `files` instead of those it would have."""
        identity = {**self.certificates.identity(user), **files}
        return msgspec.structs.replace(super().settings(user), **identity)

    def _process(self, flags: tuple[str, ...]) -> Process:
        # Nothing differs from the file but where things are.
        text = WITH_TLS.read_text().replace(CONFIGURATION.name, f"{self.folder.name}.conf")
        for name in ("nats.pem", "nats.key", "ca.pem"):
            assert f'"/etc/nats/tls/{name}"' in text
            text = text.replace(f'"/etc/nats/tls/{name}"', f'"{self.certificates.folder / name}"')
        (self.keys / WITH_TLS.name).write_text(text)
        # Of several configurations the last counts.
        return super()._process((*flags, "-c", str(self.keys / WITH_TLS.name)))
