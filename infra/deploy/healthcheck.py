"""`python -m infra.deploy.healthcheck URL`: a container's health check; status 0 if the URL answers well."""

from __future__ import annotations

import http.client
import os
import socket
import ssl
import sys
from urllib.parse import urlsplit

SECONDS = 4.0
BAD = 1
MISUSED = 2


def answers(url: str) -> bool:
    """Whether `http(s)://HOST:PORT/PATH` answers with a status of success, or `tcp://HOST:PORT` at all."""
    asked = urlsplit(url)
    host, port = asked.hostname or "127.0.0.1", asked.port or 80
    try:
        if asked.scheme == "tcp":
            socket.create_connection((host, port), SECONDS).close()
            return True
        connection = (
            http.client.HTTPSConnection(host, port, timeout=SECONDS, context=trusting())
            if asked.scheme == "https"
            else http.client.HTTPConnection(host, port, timeout=SECONDS)
        )
        try:
            connection.request("GET", asked.path or "/")
            return connection.getresponse().status < http.client.MULTIPLE_CHOICES
        finally:
            connection.close()
    except (OSError, http.client.HTTPException):
        return False


def trusting() -> ssl.SSLContext:
    """What the gateway is believed by; the settings' other files are of no interest here."""
    return ssl.create_default_context(cafile=os.environ.get("ORDERFOLD_TLS_CA") or None)


def main(arguments: list[str]) -> int:
    """The exit status."""
    if len(arguments) != 1 or urlsplit(arguments[0]).scheme not in {"http", "https", "tcp"}:
        sys.stderr.write(
            "usage: python -m infra.deploy.healthcheck http[s]://HOST:PORT/PATH | tcp://HOST:PORT\n"
        )
        return MISUSED
    return 0 if answers(arguments[0]) else BAD


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
