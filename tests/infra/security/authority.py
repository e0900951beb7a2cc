"""Certificates for tests: those of the development CA, those of a server to be refused."""

from __future__ import annotations

import contextlib
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path
from socket import AF_INET, SOCK_STREAM, socket
from typing import Any

from infra.deploy.dev_ca import AUTHORITY, certificate_file, key_file, make_certificates
from tests.support.deadlines import HOLDS_SECONDS


class Certificates:
    """A folder as `python -m infra.deploy.dev_ca` makes it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        make_certificates(folder)

    @property
    def ca(self) -> Path:
        """Whom to believe."""
        return certificate_file(self.folder, AUTHORITY)

    def certificate(self, name: str) -> Path:
        return certificate_file(self.folder, name)

    def key(self, name: str) -> Path:
        return key_file(self.folder, name)

    def identity(self, name: str) -> dict[str, Any]:
        """The settings of a process that is this service."""
        return {"tls_ca": self.ca, "tls_certificate": self.certificate(name), "tls_key": self.key(name)}

    def context(self, name: str = "", version: ssl.TLSVersion | None = None) -> ssl.SSLContext:
        """A client's, with a certificate if a name is given, of one version of TLS alone if that is."""
        context = ssl.create_default_context(cafile=self.ca)
        if name:
            context.load_cert_chain(self.certificate(name), self.key(name))
        if version is not None:
            context.minimum_version = context.maximum_version = version
        return context


@contextlib.contextmanager
def tls_server(
    certificates: Certificates,
    name: str,
    first: bytes = b"",
    *,
    asked: int = 0,
    host: str = "127.0.0.1",
    newest: ssl.TLSVersion = ssl.TLSVersion.MAXIMUM_SUPPORTED,
) -> Iterator[int]:
    """The port of a server that shows this certificate, after hearing so many bytes and saying `first`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificates.certificate(name), certificates.key(name))
    context.maximum_version = newest
    with socket(AF_INET, SOCK_STREAM) as listener:
        listener.bind((host, 0))
        listener.listen()

        def serve() -> None:
            while True:
                try:
                    client, _ = listener.accept()
                except OSError:
                    return
                with contextlib.suppress(OSError), client:
                    client.settimeout(HOLDS_SECONDS)
                    client.recv(asked)
                    client.sendall(first)
                    with context.wrap_socket(client, server_side=True) as wrapped:
                        wrapped.recv(1)

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield int(listener.getsockname()[1])
        finally:
            # Closing alone would leave accept waiting.
            listener.shutdown(2)
            thread.join(HOLDS_SECONDS)
