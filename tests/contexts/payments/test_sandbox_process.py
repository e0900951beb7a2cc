"""The sandbox provider as a process: killed, started again, and refused what it needs."""

from __future__ import annotations

import signal
import time

import httpx
import pytest

from contexts.payments.provider import Approved, Captured, Pending
from infra.embedded.servers import ServerFailed
from infra.security.webhook_signature import read_secret
from infra.sockets import free_port
from tests.contexts.payments.conftest import Asking, Books, Sandbox, WebhookListener, eventually
from tests.support.deadlines import HOLDS_SECONDS


async def test_a_killed_provider_forgets_nothing(own_sandbox: Sandbox) -> None:
    """Charges, keys, pending payments and unsent webhooks are there again."""
    provider, books = Asking(own_sandbox.url, timeout=HOLDS_SECONDS), Books(own_sandbox.url)
    await provider.authorize("paid", 950, "GBP", "tok_approve")
    await provider.capture("paid")
    assert await provider.authorize("late", 100, "GBP", "tok_late_500") == Pending()
    # Nobody listens yet, so this webhook is still to be sent when the process dies.
    await provider.authorize("told", 200, "GBP", "tok_late_1")

    async def told() -> bool:
        return await books.entries("told") == [("authorized", 200)]

    await eventually(told, "the approval")
    own_sandbox.process.kill()
    own_sandbox.process.start()
    webhooks = WebhookListener(own_sandbox.webhook_port, read_secret(own_sandbox.secret_file))
    await webhooks.start()

    await webhooks.arrived(2)
    assert {it.id for it in webhooks.received} == {"msg_told_authorized", "msg_late_authorized"}
    assert await provider.authorize("late", 100, "GBP", "tok_late_500") == Approved("pay_late", 100, "GBP")
    assert await provider.capture("paid") == Captured(950, "GBP")
    assert await books.entries("paid") == [("authorized", 950), ("captured", 950)]
    await webhooks.stop()
    await books.http.aclose()
    await provider.close()


async def test_a_connection_that_broke_is_made_anew(own_sandbox: Sandbox) -> None:
    """The adapter's pooled connections do not outlive the provider's process."""
    provider = Asking(own_sandbox.url, timeout=HOLDS_SECONDS)
    await provider.authorize("42", 950, "GBP", "tok_approve")
    own_sandbox.process.kill()
    own_sandbox.process.start()
    assert await provider.capture("42") == Captured(950, "GBP")
    await provider.close()


def test_it_serves_until_it_is_told_to_stop(own_sandbox: Sandbox) -> None:
    assert httpx.get(f"{own_sandbox.url}/health", timeout=HOLDS_SECONDS).json() == {"status": "ok"}
    own_sandbox.process.terminate()
    own_sandbox.process.stop(timeout=HOLDS_SECONDS)
    assert own_sandbox.process.exit_code == 0


def test_a_second_one_on_the_same_ledger_says_so_and_ends(own_sandbox: Sandbox) -> None:
    second = own_sandbox.make(free_port())
    with pytest.raises(ServerFailed, match=r"ledger.*locked"):
        second.start()
    assert second.exit_code == 1


def test_a_taken_port_is_named(own_sandbox: Sandbox) -> None:
    second = own_sandbox.make(own_sandbox.port)
    second.spawn()
    while second.running:
        time.sleep(0.01)
    assert f"port {own_sandbox.port} is taken" in second.last_line()
    assert second.exit_code == 1


def test_an_unusable_secret_is_named(own_sandbox: Sandbox) -> None:
    own_sandbox.process.kill()
    assert own_sandbox.process.exit_code == -signal.SIGKILL
    own_sandbox.secret_file.write_text("hunter2")
    with pytest.raises(ServerFailed, match="holds no webhook secret"):
        own_sandbox.process.start()
