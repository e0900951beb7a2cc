"""The shop as an HTTP client sees it: requests that are sent until they are answered, and paged lists."""

from __future__ import annotations

import asyncio
import json
import ssl
import time
from collections.abc import AsyncIterator, Callable, Mapping
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import httpx
import msgspec

from gateway.cli.errors import CommandFailed
from infra.retry import Backoff

RETRY_SECONDS = 600.0
"""Seconds a request is tried again for while the shop is not there."""
FIRST_PAUSE = 0.1
LONGEST_PAUSE = 5.0
NOTICE_AFTER = 2.0
WAIT = 30
"""Seconds a request may wait at the shop for what it depends on."""
FAULTS = 5
"""So often a request is sent that the shop answers with an error of its own (500)."""
AWAY = frozenset({408, 425, 429, 502, 503, 504})
"""Statuses after which the same request may succeed later."""
PAGE = 200
LIVE = "/health/live"
PRODUCTS, CUSTOMERS, ORDERS = "/v1/products", "/v1/customers", "/v1/orders"


class Answer(msgspec.Struct, frozen=True):
    """What the shop said: the status, the body, and the consistency token of what it did."""

    status: int
    body: Mapping[str, Any]
    token: str = ""

    @property
    def good(self) -> bool:
        """Whether it did what it was asked."""
        return self.status < 300

    @property
    def problem(self) -> str:
        """Why not, in a line."""
        detail = self.body.get("detail") or self.body.get("title") or self.body.get("rule") or ""
        return f"{self.status} {detail}".strip()


class Shop:
    """Orderfold over HTTP, on a pool of kept-alive connections."""

    def __init__(
        self, url: str, token: str, connections: int, notice: Callable[[str], None], tls: ssl.SSLContext
    ) -> None:
        """`notice` is told, in a line each, when the shop goes away and when it is back."""
        self.url = url.rstrip("/")
        limits = httpx.Limits(max_connections=connections, max_keepalive_connections=connections)
        self._client = httpx.AsyncClient(
            base_url=self.url,
            headers={"Authorization": f"Bearer {token}"},
            # A pooled connection is waited for as long as the requests before it take.
            timeout=httpx.Timeout(10.0, read=WAIT + 15.0, pool=None),
            limits=limits,
            verify=tls,
        )
        self._notice = notice
        self._away_since: float | None = None
        self._noticed = False

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def meet(self, answer_within: float) -> None:
        """Return when the shop answers for the first time; raises CommandFailed if it does not."""
        began = time.monotonic()
        while True:
            answer, trouble = await self._try("GET", LIVE, {}, {})
            if answer is not None and answer.good and answer.body:
                break
            if answer is not None and answer.status not in AWAY:
                raise self._foreign(LIVE, answer)
            if time.monotonic() - began > answer_within:
                raise CommandFailed(
                    f"{self.url} does not answer ({trouble}); `orderfold up` starts a stack, "
                    "and --url names the gateway of another"
                )
            await asyncio.sleep(LONGEST_PAUSE / 10)
        # Nothing is done yet if the token is refused.
        self._page(PRODUCTS, await self.get(PRODUCTS, limit=1))

    async def post(self, path: str, body: object, *, key: str, after: str = "", if_match: str = "") -> Answer:
        """Send a command under its idempotency key, after what the tokens in `after` name."""
        headers = {"Idempotency-Key": key, "Content-Type": "application/json"}
        if if_match:
            headers["If-Match"] = if_match
        if after:
            headers |= {"Consistency-Token": after, "Prefer": f"wait={WAIT}"}
        return await self._send("POST", path, headers, content=msgspec.json.encode(body))

    async def get(self, path: str, *, after: str = "", **query: str | int) -> Answer:
        """Ask a question whose answer includes at least what the tokens in `after` name."""
        headers = {"Consistency-Token": after, "Prefer": f"wait={WAIT}"} if after else {}
        return await self._send("GET", path, headers, params=query)

    async def items(self, path: str, *, after: str = "", **query: str | int) -> AsyncIterator[Any]:
        """Every item of a list, page by page; raises CommandFailed if it is refused."""
        more: dict[str, str] = {}
        while True:
            answer = await self.get(path, after=after, limit=PAGE, **query, **more)
            for item in self._page(path, answer):
                yield item
            following = answer.body.get("next")
            if not following:
                return
            more = {"cursor": following}

    def _page(self, path: str, answer: Answer) -> list[Any]:
        if not answer.good:
            raise CommandFailed(f"{path}: {answer.problem}")
        items = answer.body.get("items")
        if not isinstance(items, list):
            raise self._foreign(path, answer)
        return items

    def _foreign(self, path: str, answer: Answer) -> CommandFailed:
        return CommandFailed(
            f"what answers at {self.url} is not Orderfold ({path}: {answer.status}); "
            "--url names the gateway, such as http://127.0.0.1:8080"
        )

    async def _send(self, method: str, path: str, headers: Mapping[str, str], **what: Any) -> Answer:
        began, faults = time.monotonic(), 0
        backoff = Backoff(FIRST_PAUSE, LONGEST_PAUSE)
        while True:
            answer, trouble = await self._try(method, path, headers, what)
            if answer is not None and answer.status == 500:
                faults += 1
                if faults >= FAULTS:
                    return answer
            elif answer is not None and answer.status not in AWAY:
                self._is_back()
                refuse_token(answer)
                return answer
            self._is_away(trouble)
            if time.monotonic() - began > RETRY_SECONDS:
                raise CommandFailed(
                    f"{self.url} has not answered for {RETRY_SECONDS / 60:.0f} minutes: {trouble}"
                )
            await backoff.pause()

    async def _try(
        self, method: str, path: str, headers: Mapping[str, str], what: Mapping[str, Any]
    ) -> tuple[Answer | None, str]:
        try:
            reply = await self._client.request(method, path, headers=headers, **what)
        except httpx.TransportError as error:
            return None, str(error) or type(error).__name__
        except (httpx.InvalidURL, UnicodeError) as error:
            raise CommandFailed(f"{self.url} is no address: {error}") from None
        answer = Answer(reply.status_code, fields_of(reply), reply.headers.get("Consistency-Token", ""))
        return answer, answer.problem

    def _is_away(self, trouble: str) -> None:
        now = time.monotonic()
        self._away_since = self._away_since or now
        if not self._noticed and now - self._away_since >= NOTICE_AFTER:
            self._noticed = True
            self._notice(
                f"{self.url} does not serve ({trouble}); trying again for {RETRY_SECONDS / 60:.0f} minutes"
            )

    def _is_back(self) -> None:
        if self._noticed:
            self._notice(f"{self.url} serves again")
        self._away_since, self._noticed = None, False


def address_of(url: str) -> str:
    """Read `--url`; raises CommandFailed with how it is written."""
    hint = "write it as http://127.0.0.1:8080"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise CommandFailed(f"--url: {url!r} is no address ({error}); {hint}") from None
    if parts.scheme not in {"http", "https"}:
        begins = "has no scheme" if "//" not in url else f"begins with {parts.scheme!r}"
        better = f"http://{url}" if "//" not in url and ":" in url else "http://127.0.0.1:8080"
        raise CommandFailed(f"--url: {url!r} {begins}, which is http:// or https://; write it as {better}")
    if not parts.hostname or port == 0 or parts.query or parts.fragment or parts.username is not None:
        raise CommandFailed(f"--url: {url!r} is no address of a gateway; {hint}")
    return url.rstrip("/")


def fields_of(reply: httpx.Response) -> Mapping[str, Any]:
    """A JSON object's fields; none if the body is something else."""
    try:
        body = reply.json()
    except (json.JSONDecodeError, UnicodeDecodeError):
        return {}
    return body if isinstance(body, dict) else {}


def refuse_token(answer: Answer) -> None:
    """A bearer token that is not good enough for one request is not for the next: stop."""
    if answer.status in {401, 403}:
        raise CommandFailed(f"the bearer token is refused: {answer.problem}; `orderfold token` prints one")
