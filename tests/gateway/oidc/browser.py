"""A customer with a browser: signs in at the provider, agrees, and comes back with a code for it."""

from __future__ import annotations

import base64
import hashlib
import re
import secrets
from typing import Any

import httpx

from tests.support.deadlines import HOLDS_SECONDS

CLIENT = "web-site"
BACK = "http://127.0.0.1/back"
FORM = re.compile(r'action="([^"]+)" method="post">\s*<input type="hidden" name="prompt" value="(\w+)"')
MOST_PAGES = 12


async def sign_in(issuer: str, login: str, scope: str) -> dict[str, Any]:
    """The authorization code flow with PKCE; what the provider's token endpoint answers."""
    verifier = secrets.token_urlsafe(48)
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {
        "client_id": CLIENT,
        "response_type": "code",
        "redirect_uri": BACK,
        "scope": scope,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    async with httpx.AsyncClient(base_url=issuer, timeout=HOLDS_SECONDS) as browser:
        code = await _agree(browser, await browser.get("/auth", params=asked), login)
        redeemed = {
            "grant_type": "authorization_code",
            "client_id": CLIENT,
            "redirect_uri": BACK,
            "code": code,
            "code_verifier": verifier,
        }
        answer = await browser.post("/token", data=redeemed)
    tokens: dict[str, Any] = answer.raise_for_status().json()
    return tokens


async def _agree(browser: httpx.AsyncClient, page: httpx.Response, login: str) -> str:
    """Fill in whatever form the provider shows, until it sends the browser back to the shop."""
    for _ in range(MOST_PAGES):
        target = page.headers.get("location", "")
        if target.startswith(BACK):
            return httpx.URL(target).params["code"]
        if target:
            page = await browser.get(target)
            continue
        form = FORM.search(page.raise_for_status().text)
        assert form is not None, page.text
        page = await browser.post(form[1], data={"prompt": form[2], "login": login, "password": "secret"})
    raise AssertionError("the provider never sent the browser back")
