"""Why a NATS server takes no connection by TLS, asked of itself."""

from __future__ import annotations

import asyncio
import ssl
from urllib.parse import urlsplit

SECONDS = 2.0
PORT = 4222
REFUSAL = "alert"
"""What OpenSSL calls the word with which the other end refuses."""


async def objection(servers: list[str], context: ssl.SSLContext) -> str:
    """What the first of the servers that does has against this end; "" if none says anything.

    With TLS 1.3 a client is refused only after it thinks that all went well. Whoever goes on to speak, as the
    library does, often learns only that the connection is gone: it ends before the reason is read.
    """
    for server in servers:
        said = await _said(server, context)
        if REFUSAL in said.lower():
            return said
    return ""


async def _said(server: str, context: ssl.SSLContext) -> str:
    url = urlsplit(server)
    try:
        async with asyncio.timeout(SECONDS):
            reader, writer = await asyncio.open_connection(url.hostname, url.port or PORT)
            try:
                await reader.readline()
                await writer.start_tls(context, server_hostname=url.hostname)
                await reader.read(1)
            finally:
                writer.transport.abort()
    except (OSError, TimeoutError, ValueError) as error:
        return str(error)
    return ""
