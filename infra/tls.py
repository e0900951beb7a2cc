"""How Orderfold speaks TLS to its servers: version 1.3 or not at all, with its certificate if it has one."""

from __future__ import annotations

import ssl

from infra.settings import Settings


def client_context(settings: Settings) -> ssl.SSLContext:
    """What to connect with; servers are believed by ORDERFOLD_TLS_CA, or else by the system's authorities."""
    context = ssl.create_default_context(cafile=settings.tls_ca)
    restrict(context)
    present(context, settings)
    return context


def restrict(context: ssl.SSLContext) -> None:
    """Speak no version of TLS before 1.3."""
    context.minimum_version = ssl.TLSVersion.TLSv1_3


def present(context: ssl.SSLContext, settings: Settings) -> None:
    """Show servers who this is, if there is a certificate that says so."""
    if settings.tls_certificate is not None:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key)
