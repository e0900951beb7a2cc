"""Where a request comes from: the other end of the connection, or whom the proxies before us name."""

from __future__ import annotations

import ipaddress

from litestar.types import Scope

UNKNOWN = "unknown"
NETWORK_BITS = 64
"""Of an IPv6 address: one client has all addresses of such a network."""


def client_address(scope: Scope, proxies: int) -> str:
    """The client's address; `proxies` of our own stand before the gateway and append to X-Forwarded-For."""
    peer = scope["client"][0] if scope["client"] else UNKNOWN
    if proxies:
        lines = [value for name, value in scope["headers"] if name == b"x-forwarded-for"]
        named = b",".join(lines).decode("latin-1").split(",")
        # What stands before our own proxies' entries is whatever the client wrote.
        if len(named) >= proxies:
            return network(without_port(named[-proxies].strip())) or network(peer) or UNKNOWN
    return network(peer) or UNKNOWN


def without_port(named: str) -> str:
    """An address as some proxies write it: `10.1.1.1:4711`, `[2001:db8::1]:4711` or `[2001:db8::1]`."""
    if named.startswith("["):
        return named[1:].partition("]")[0]
    return named.partition(":")[0] if named.count(":") == 1 else named


def network(address: str) -> str | None:
    """An IPv4 address, or the network of an IPv6 address; None if it is neither."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped is not None:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), NETWORK_BITS), strict=False))
