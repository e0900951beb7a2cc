"""Requests to a context that are not commands: served, refused, and retried until a deadline."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import msgspec
import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription

from infra.aio import cancel_all
from infra.event_store.errors import StoreUnavailable
from infra.nats.connection import NatsUnavailable, publish, request, subscribe, unsubscribe
from infra.retry import Backoff

AT_ONCE = 8
"""Requests served at the same time; others wait in NATS' buffers until their askers give up."""
ASK_SECONDS = 5.0
"""How long one request waits for its reply before it is sent again."""
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 1.0

log = structlog.get_logger()


class ContextUnavailable(Exception):
    """No process of a context answered in time."""


class ContextImpaired(ContextUnavailable):
    """A context answered that it lacks something until an operator mends it; the message says what."""


class Impaired(Exception):
    """Raised by who answers: the answer is not there until an operator has mended what the message says."""


class RequestRefused(msgspec.Struct, frozen=True, tag="refused"):
    """The request was invalid, or cannot be served now (`again`: asking again may help)."""

    reason: str
    again: bool
    impaired: bool = False


_REFUSED = msgspec.json.encode(RequestRefused("", again=False)).partition(b",")[0]


def request_subject(context: str, name: str) -> str:
    """The subject of a request to a context."""
    return f"svc.{context}.{name}"


class RequestServer:
    """Serves requests on `svc.<context>.<name>`; every process of a context may."""

    def __init__(self, nats: Client, context: str) -> None:
        self._nats = nats
        self._context = context
        self._subscriptions: list[Subscription] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._free = asyncio.Semaphore(AT_ONCE)

    async def serve(self, name: str, respond: Callable[[bytes], Awaitable[bytes]]) -> None:
        """Answer from now on. `respond` may raise ValueError, StoreUnavailable and Impaired.

        Raises NatsUnavailable.
        """

        async def heard(message: Msg) -> None:
            await self._free.acquire()
            task = asyncio.create_task(self._respond(message, respond))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

        subject = request_subject(self._context, name)
        self._subscriptions.append(await subscribe(self._nats, subject, heard, queue=f"svc-{self._context}"))

    async def stop(self) -> None:
        """Stop serving; requests under way are dropped, their senders send them again."""
        for subscription in self._subscriptions:
            await unsubscribe(self._nats, subscription)
        self._subscriptions.clear()
        await cancel_all(*self._tasks)

    async def _respond(self, message: Msg, respond: Callable[[bytes], Awaitable[bytes]]) -> None:
        try:
            try:
                reply = await respond(message.data)
            except (msgspec.MsgspecError, ValueError) as error:
                reply = msgspec.json.encode(RequestRefused(str(error), again=False))
            except Impaired as error:
                refusal = RequestRefused(str(error), again=True, impaired=True)
                reply = msgspec.json.encode(refusal)
            except StoreUnavailable as error:
                reply = msgspec.json.encode(RequestRefused(str(error), again=True))
            except Exception:
                log.exception("request failed", subject=message.subject)
                reply = msgspec.json.encode(RequestRefused("internal error", again=True))
            if message.reply:
                await publish(self._nats, message.reply, reply)
        except NatsUnavailable as error:
            log.warning("reply not sent", subject=message.subject, error=str(error))
        finally:
            self._free.release()


async def request_with_retry(
    nats: Client, context: str, name: str, payload: bytes, *, timeout: float
) -> bytes:
    """Ask until there is an answer, JSON with a tag `type`.

    Raises ContextUnavailable after `timeout` seconds, ContextImpaired at once, and ValueError when the
    request is refused for good.
    """
    subject = request_subject(context, name)
    loop = asyncio.get_running_loop()
    deadline = loop.time() + timeout
    backoff = Backoff(SHORTEST_PAUSE, LONGEST_PAUSE)
    reason = ""
    while (left := deadline - loop.time()) > 0:
        try:
            reply = await request(nats, subject, payload, timeout=min(left, ASK_SECONDS))
        except NatsUnavailable as error:
            # The last try has little time left: that it ran out says less than what was answered before.
            if left >= ASK_SECONDS or not reason:
                reason = str(error)
        else:
            refusal = _refusal(reply.data)
            if refusal is None:
                return reply.data
            reason = refusal.reason
            if refusal.impaired:
                raise ContextImpaired(reason)
            if not refusal.again:
                raise ValueError(f"{subject}: {reason}")
        await asyncio.sleep(min(backoff.take(), max(0.0, deadline - loop.time())))
    raise ContextUnavailable(f"{context} did not answer within {timeout:g} s: {reason}")


def _refusal(data: bytes) -> RequestRefused | None:
    # Its tag comes first: an answer of 900 kB need not be read for it.
    if not data.startswith(_REFUSED):
        return None
    return msgspec.json.decode(data, type=RequestRefused)
