"""How Orderfold speaks TLS to its servers: version 1.3 or not at all, with its certificate if it has one."""

from __future__ import annotations

import ssl
from pathlib import Path


def client_context(ca: Path | None, certificate: Path | None, key: Path | None) -> ssl.SSLContext:
    """Connect with this: servers are verified against `ca`, or the system's authorities where it is None."""
    context = ssl.create_default_context(cafile=ca)
    restrict(context)
    present(context, certificate, key)
    return context


def restrict(context: ssl.SSLContext) -> None:
    """Speak no version of TLS before 1.3."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def present(context: ssl.SSLContext, certificate: Path | None, key: Path | None) -> None:
    """Present the client's certificate to servers, if there is one."""
    if certificate is not None:
        context.load_cert_chain(certificate, key)
