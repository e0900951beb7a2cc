"""A nats-server with the real configuration, on a folder and ports of its own."""

from __future__ import annotations

from pathlib import Path

from infra.deploy.nats_keys import CONFIGURATION, make_keys, seed_file
from infra.embedded.servers import Process, executable, listening
from infra.settings import Settings
from infra.sockets import free_port


class GuardedServer:
    """The server, and what its users connect with."""

    def __init__(self, folder: Path, keys: Path | None = None, *flags: str) -> None:
        """`keys` are shared where several servers make a cluster."""
        self.folder = folder
        self.keys = keys or folder / "keys"
        self.data = folder / "data"
        self.log = folder / "nats.log"
        self.port, self.monitor_port = free_port(), free_port()
        if keys is None:
            make_keys(self.keys)
        self.process = self._process(flags)

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        return f"http://127.0.0.1:{self.monitor_port}"

    def settings(self, user: str) -> Settings:
        """How a user connects."""
        return Settings(nats_url=self.url, nats_credentials=seed_file(self.keys, user))

    def violations(self) -> list[str]:
        """What the server refused somebody, in its own words."""
        return [line for line in self.log.read_text().splitlines() if "Violation" in line]

    def _process(self, flags: tuple[str, ...]) -> Process:
        # Beside the public keys, which it includes; nothing else differs than where the data is.
        configuration = self.keys / f"{self.folder.name}.conf"
        configuration.write_text(CONFIGURATION.read_text().replace('"/data"', f'"{self.data}"'))
        command = [
            executable("nats-server"),
            *("-c", str(configuration)),
            *("-a", "127.0.0.1", "-p", str(self.port), "-m", str(self.monitor_port)),
            *flags,
        ]
        return Process("nats-server", command, self.log, lambda: listening(self.port))
