"""Ports of this machine: a free one, and whether this process may listen on one."""

from __future__ import annotations

import errno
import random
import socket

GIVEN_TO_NOBODY = range(20_000, 32_000)
"""Below what Linux gives to outgoing connections: `net.ipv4.ip_local_port_range` is 32768 to 60999."""


class PortTaken(Exception):
    """This process cannot listen on a port; the message names the port and the fix."""


def free_port(host: str = "127.0.0.1") -> int:
    """A TCP port nobody listens on at this moment.

    Not one that the system gives: an outgoing connection could take it before the server that is to have it.
    """
    for port in random.sample(GIVEN_TO_NOBODY, len(GIVEN_TO_NOBODY)):
        if available(port, host):
            return port
    msg = f"every port from {GIVEN_TO_NOBODY.start} to {GIVEN_TO_NOBODY.stop - 1} is taken"
    raise PortTaken(msg)


def available(port: int, host: str = "127.0.0.1") -> bool:
    """Whether this process could listen there."""
    try:
        bind(port, host)
    except OSError:
        return False
    return True


def refuse_taken(port: int, host: str, option: str = "--port") -> None:
    """Raise PortTaken, naming the option that chooses another, unless this process could listen there."""
    try:
        bind(port, host)
    except PermissionError:
        msg = f"this user may not listen on port {port}; choose another with {option}"
        raise PortTaken(msg) from None
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            msg = f"port {port} is taken; stop what listens there or choose another with {option}"
        else:
            msg = f"cannot listen on {host}:{port}: {error.strerror}"
        raise PortTaken(msg) from None


def bind(port: int, host: str) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        # Connections of the last run that wait to be forgotten are no obstacle.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((host, port))
