"""Run in a container: knocks at the stack's servers in every way, and says in JSON what each answers.

`python knock.py FOLDER`: FOLDER/ca.pem is whom to believe, certificates and keys are beside it.
"""

from __future__ import annotations

import json
import socket
import ssl
import struct
import sys
from pathlib import Path
from typing import NamedTuple

import bson

SECONDS = 5.0
POSTGRES_TLS = struct.pack("!ii", 8, 80877103)
POSTGRES_START = struct.pack("!ii", 41, 196608) + b"user\0ordering\0database\0ordering\0\0"
MONGO_HELLO = bson.encode({"hello": 1, "$db": "admin"})


class Way(NamedTuple):
    """By which version of TLS, if any, and with whose certificate, if any."""

    version: ssl.TLSVersion | None
    certificate: str = ""


PORTS = {"nats": 4222, "postgres": 5432, "mongo": 27017, "gateway": 8080, "edge": 8080}
ASKED = {
    "nats": b"CONNECT {}\r\nPING\r\n",
    "postgres": POSTGRES_START,
    "mongo": struct.pack("<iiiiIb", 21 + len(MONGO_HELLO), 1, 0, 2013, 0, 0) + MONGO_HELLO,
    "gateway": b"GET /health/live HTTP/1.0\r\n\r\n",
    "edge": b"GET /health/live HTTP/1.0\r\n\r\n",
}
WAYS = {
    "plain text": Way(None),
    "TLS 1.2": Way(ssl.TLSVersion.TLSv1_2, "ordering"),
    "no certificate": Way(ssl.TLSVersion.TLSv1_3),
    "a stranger's": Way(ssl.TLSVersion.TLSv1_3, "stranger"),
    "its own": Way(ssl.TLSVersion.TLSv1_3, "ordering"),
}


def answer(server: str, way: Way, folder: Path) -> str:
    """What a server says to the first question, or why it does not."""
    try:
        with socket.create_connection((server, PORTS[server]), SECONDS) as wire:
            if server == "nats":
                # It says who it is first.
                while not wire.recv(4096).endswith(b"\r\n"):
                    pass
            if way.version is None:
                return asked(wire, server)
            if server == "postgres":
                wire.sendall(POSTGRES_TLS)
                wire.recv(1)
            with context(way, folder).wrap_socket(wire, server_hostname=server) as secured:
                return asked(secured, server)
    except ssl.SSLError as error:
        return str(error)
    except OSError as error:
        return type(error).__name__


def asked(wire: socket.socket, server: str) -> str:
    """What is said to the first question."""
    wire.sendall(ASKED[server])
    return wire.recv(4096).decode("latin-1")


def context(way: Way, folder: Path) -> ssl.SSLContext:
    """A client's, that believes only who is who it should be."""
    made = ssl.create_default_context(cafile=folder / "ca.pem")
    assert way.version is not None
    made.minimum_version = made.maximum_version = way.version
    if way.certificate:
        made.load_cert_chain(folder / f"{way.certificate}.pem", folder / f"{way.certificate}.key")
    return made


if __name__ == "__main__":
    found = {
        name: {server: answer(server, way, Path(sys.argv[1])) for server in PORTS}
        for name, way in WAYS.items()
    }
    json.dump(found, sys.stdout)
