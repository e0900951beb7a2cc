"""The connection to NATS: how it is made, kept and lost, and a request over it with one kind of failure."""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Any

import structlog
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error, NoRespondersError, StaleConnectionError

from infra.aio import keeping_cancellation, run_within
from infra.nats.credentials import Forbidden, check_credentials, is_strangers, refusal
from infra.nats.tls_probe import objection
from infra.security.tls import client_context
from infra.security.tls_errors import advice
from infra.settings import Settings

TLS = "tls://"
CONNECT_SECONDS = 10.0
"""How long a first connection may take: a dead port would otherwise be tried for minutes."""

log = structlog.get_logger()


class NatsUnavailable(Exception):
    """NATS could not be reached or did not answer in time; the message says what was asked and why not."""


class UserRefused(NatsUnavailable):
    """NATS does not know this user; it may yet be told of it."""


class NotAllowed(NatsUnavailable):
    """This user may not publish there."""


class NobodyListens(NatsUnavailable):
    """NATS answered at once that nobody serves this subject at the moment."""


class Connection(Client):
    """A client that knows whether its end was asked for.

    Requests fail when the connection does, not only at their time limit; headers are read three times faster.
    """

    def __init__(self, settings: Settings, name: str, on_closed: Callable[[], None] | None) -> None:
        super().__init__()
        self.name = name
        self.begun = False
        self.ending = False
        self.forbidden = Forbidden()
        self.last_error_text = ""
        self._settings = settings
        self._on_closed = on_closed
        self._leaving: asyncio.Task[None] | None = None
        self._reconnecting: asyncio.Task[None] | None = None

    async def close(self) -> None:
        self.ending = True
        await super().close()

    async def drain(self) -> None:
        self.ending = True
        await super().drain()

    def fail_requests(self) -> None:
        """Let requests under way fail now: an answer to them can no longer arrive."""
        waiting: dict[str, asyncio.Future[Msg]] = vars(self).get("_resp_map", {})
        for answer in list(waiting.values()):
            if not answer.done():
                answer.set_exception(StaleConnectionError())
                # Seen, also where nobody waits any more.
                answer.exception()

    async def _attempt_reconnect(self) -> None:
        self._reconnecting = asyncio.current_task()
        await super()._attempt_reconnect()

    async def failed(self, error: Exception) -> None:
        """The server reports an error, or cannot be reached."""
        if self.is_closed and asyncio.current_task() is self._reconnecting:
            # Its cancellation is lost when the connection is refused at the same moment, before Python 3.12:
            # it would try for ever.
            raise asyncio.CancelledError
        said = str(error) or type(error).__name__
        repeated, self.last_error_text = said == self.last_error_text, said
        if self.forbidden.note(said):
            log.error("nats permission denied", connection=self.name, error=said)
        elif is_strangers(said):
            if not self.begun:
                # The library would go on trying until its time is over.
                raise UserRefused(refusal(self._settings))
            if not repeated:
                log.error("nats authentication failed", connection=self.name, reason=refusal(self._settings))
                # The library would for ever come with the key it began with; a new connection reads it anew.
                self._leaving = asyncio.create_task(super().close())
        elif self.is_connected and not self.ending:
            log.warning("nats reports an error", connection=self.name, error=said)

    async def disconnected(self) -> None:
        """The connection is lost, for a while or for good."""
        self.fail_requests()
        if not self.ending:
            log.warning("nats connection lost", connection=self.name)

    async def reconnected(self) -> None:
        """The connection is there again."""
        log.info("nats connection restored", connection=self.name)

    async def closed(self) -> None:
        """The connection is lost for good."""
        if not self.ending and self._on_closed is not None:
            log.error("nats connection ended", connection=self.name, error=self.last_error_text)
            self._on_closed()

    async def _process_info(self, info: dict[str, Any], initial_connection: bool = False) -> None:  # noqa: FBT001, FBT002 - the library calls it
        # The library would go on without TLS where a server, or whoever poses as one, does not ask for it.
        server = self._current_server
        if initial_connection and server is not None:
            wanted, offered = server.uri.scheme == "tls", bool(info.get("tls_required"))
            if wanted and not offered:
                raise Error("the server speaks no TLS, and ORDERFOLD_NATS_URL says tls://")
            if offered and not wanted:
                raise Error("the server wants TLS: write tls:// in ORDERFOLD_NATS_URL")
        await super()._process_info(info, initial_connection)

    @staticmethod
    def _parse_header_lines(raw: bytes) -> dict[str, str]:
        # The library's own walks every key character by character: 5.8 µs a message against 1.7 µs.
        lines = raw.decode("utf-8", "replace").split("\r\n")
        return dict([line.split(": ", 1) for line in lines if ": " in line])


def inbox_prefix(name: str) -> str:
    """Where replies to a connection come: each user has its own, so permissions can keep others out."""
    user = name.partition("-")[0]
    return "_INBOX_" + re.sub(r"\W", "_", user)


async def connect(settings: Settings, name: str, *, on_closed: Callable[[], None] | None = None) -> Client:
    """Connect to NATS; raises NatsUnavailable when that takes more than 10 s, UserRefused, SettingsInvalid.

    `name` is the user's, and after a hyphen what the connection is for: `ordering-commands`.
    The connection is restored for ever. `on_closed` is called when it ended for good without being asked to:
    the process had better stop and be started again.
    """
    seed = check_credentials(settings)
    servers = [url.strip() for url in settings.nats_url.split(",")]
    tls = _tls(servers, settings)
    client = Connection(settings, name, on_closed)
    try:
        # The library may lose a cancellation, and would then try to connect for ever.
        await run_within(
            CONNECT_SECONDS,
            client.connect(
                servers=servers,
                tls=tls,
                name=name,
                nkeys_seed=seed,
                # A request made while disconnected must fail, not be carried out after the reconnect.
                pending_size=0,
                max_reconnect_attempts=-1,
                reconnect_time_wait=0.25,  # type: ignore[arg-type]
                connect_timeout=2,
                ping_interval=10,
                max_outstanding_pings=2,
                inbox_prefix=inbox_prefix(name),
                error_cb=client.failed,
                disconnected_cb=client.disconnected,
                reconnected_cb=client.reconnected,
                closed_cb=client.closed,
            ),
        )
    except UserRefused:
        await _give_up(client)
        raise
    except (Error, OSError, TimeoutError, ValueError, ImportError) as error:
        await _give_up(client)
        reason = client.last_error_text or str(error) or "no answer"
        if tls is not None and not advice(reason):
            reason = await objection([url for url in servers if url.startswith(TLS)], tls) or reason
        fix = advice(reason) or "is it running, and is ORDERFOLD_NATS_URL right?"
        raise NatsUnavailable(f"NATS at {settings.nats_url} cannot be used: {reason}; {fix}") from error
    client.begun = True
    return client


def _tls(servers: Sequence[str], settings: Settings) -> ssl.SSLContext | None:
    return client_context(*settings.client_tls) if any(url.startswith(TLS) for url in servers) else None


async def _give_up(client: Connection) -> None:
    client.ending = True
    with contextlib.suppress(Error, OSError):
        await client.close()


async def request(
    nats: Client,
    subject: str,
    payload: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 5.0,
) -> Msg:
    """Ask and wait for the answer; raises NobodyListens, NotAllowed or NatsUnavailable."""
    if not nats.is_connected:
        raise NatsUnavailable(f"{subject}: not connected")
    check_allowed(nats, subject)
    with _calling(subject):
        try:
            return await nats.request(
                subject, payload, timeout=timeout, headers=None if headers is None else dict(headers)
            )
        except NoRespondersError as error:
            raise NobodyListens(f"nobody serves {subject}") from error
        except TimeoutError:
            check_allowed(nats, subject)
            raise


async def publish(
    nats: Client,
    subject: str,
    payload: bytes = b"",
    *,
    headers: Mapping[str, str] | None = None,
    reply: str = "",
) -> None:
    """Send without waiting for anybody; raises NatsUnavailable while disconnected."""
    with _calling(subject):
        await nats.publish(subject, payload, reply=reply, headers=None if headers is None else dict(headers))


async def subscribe(
    nats: Client, subject: str, heard: Callable[[Msg], Awaitable[None]], *, queue: str = ""
) -> Subscription:
    """Call `heard` for every message, one after the other, however many wait; raises NatsUnavailable."""
    with _calling(subject):
        return await nats.subscribe(
            subject, queue=queue, cb=heard, pending_msgs_limit=0, pending_bytes_limit=0
        )


async def unsubscribe(nats: Client, subscription: Subscription) -> None:
    """End a subscription; a closed connection has ended it already."""
    if not nats.is_closed:
        with contextlib.suppress(NatsUnavailable), _calling(subscription.subject):
            await subscription.unsubscribe()


def check_allowed(nats: Client, subject: str) -> None:
    """Raise NotAllowed if the server has just refused to take something for this subject from this user."""
    if isinstance(nats, Connection) and subject in nats.forbidden:
        raise NotAllowed(f"{subject}: nats-server's configuration does not let this user publish there")


@contextlib.contextmanager
def _calling(subject: str) -> Iterator[None]:
    """Turn the client's errors into ours, and do not let it swallow a cancellation."""
    try:
        with keeping_cancellation():
            yield
    except (Error, OSError, TimeoutError) as error:
        raise NatsUnavailable(f"{subject}: {error or type(error).__name__}") from error
