"""The payment provider's own books, against which the system's are compared."""

from __future__ import annotations

from typing import Any

import httpx

from tests.support.deadlines import HOLDS_SECONDS


class Books:
    """The provider's own books; the provider is the one who is never killed."""

    def __init__(self, url: str) -> None:
        self._http = httpx.AsyncClient(base_url=url, timeout=HOLDS_SECONDS)

    async def payments(self) -> list[dict[str, Any]]:
        """Every payment."""
        return list((await self._http.get("/ledger")).json()["payments"])

    async def count(self) -> int:
        """How many payments there are."""
        return len(await self.payments())

    async def close(self) -> None:
        """Let go of the connection."""
        await self._http.aclose()
