"""When a NATS server has what was sent to it."""

from __future__ import annotations

from nats.aio.client import Client


async def settled(client: Client) -> None:
    """Return when the server has taken all that this client has sent until now, subscriptions included.

    The library's flush sends its ping ahead of what waits to be sent, and has that sent: the ping of a second
    one comes behind it.
    """
    await client.flush()
    await client.flush()
