"""Who connects without being known, or does what it may not, learns so at once and in one line."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from pathlib import Path

import pytest

from infra.deploy.nats_keys import make_keys, new_seed
from infra.nats import credentials
from infra.nats.connection import NatsUnavailable, NotAllowed, UserRefused, connect, request
from infra.nats.jetstream import stream_info
from infra.settings import Settings, SettingsInvalid
from tests.infra.event_log.ordering_log import eventually
from tests.infra.nats.server import GuardedServer
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.subprocesses import communicate


@pytest.mark.parametrize("module", [("contexts", "catalog"), ("gateway",)])
async def test_a_seed_that_is_not_there_ends_a_process_with_one_line(
    tmp_path: Path, module: tuple[str, ...]
) -> None:
    missing = tmp_path / "missing.nk"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", *module),
        env={**os.environ, "ORDERFOLD_DATA": str(tmp_path), "ORDERFOLD_NATS_CREDENTIALS": str(missing)},
        stderr=asyncio.subprocess.STDOUT,
        stdout=asyncio.subprocess.PIPE,
    )
    told, _ = await communicate(process)
    assert process.returncode == 2
    assert f"ORDERFOLD_NATS_CREDENTIALS: {missing} cannot be read (No such file" in told.decode()
    assert told.count(b"\n") == 1


async def test_what_is_no_seed_is_not_quoted(guarded: GuardedServer, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.nk"
    wrong.write_text("a password")
    with pytest.raises(SettingsInvalid, match=r"wrong\.nk holds no seed of a user") as raised:
        await connect(Settings(nats_url=guarded.url, nats_credentials=wrong), "catalog")
    assert "a password" not in str(raised.value)


async def test_an_unknown_user_is_told_at_once(guarded: GuardedServer, tmp_path: Path) -> None:
    """A process waits and tries again: its key may become known. A command ends."""
    stranger = tmp_path / "stranger.nk"
    stranger.write_bytes(new_seed())
    with pytest.raises(UserRefused, match=r"does not know the user of .*stranger\.nk: is its public key in"):
        await connect(Settings(nats_url=guarded.url, nats_credentials=stranger), "catalog")
    with pytest.raises(UserRefused, match="wants a user: set ORDERFOLD_NATS_CREDENTIALS"):
        await connect(Settings(nats_url=guarded.url), "catalog")


async def test_what_is_forbidden_is_named_and_ends_nothing(
    guarded: GuardedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without that it would look like a service that does not answer, for as long as one waits."""
    monkeypatch.setattr(credentials, "FORBIDDEN_SECONDS", 2 * HOLDS_SECONDS)
    client = await connect(guarded.settings("catalog"), "catalog-commands")

    async def named() -> bool:
        try:
            await request(client, "cmd.payments.CapturePayment", timeout=0.5)
        except NatsUnavailable as error:
            return isinstance(error, NotAllowed)
        return False

    await eventually(named)
    # From then on it is told at once.
    with pytest.raises(NotAllowed, match=r"cmd\.payments\.CapturePayment: .* does not let this user"):
        async with asyncio.timeout(HOLDS_SECONDS):
            await request(client, "cmd.payments.CapturePayment", timeout=2 * HOLDS_SECONDS)
    assert client.is_connected
    assert await stream_info(client, "EV_catalog") is None
    await client.close()


async def test_a_user_whose_key_is_exchanged_is_out_at_once_and_back_with_the_new_one(tmp_path: Path) -> None:
    server = GuardedServer(tmp_path / "own")
    server.process.start()
    out = asyncio.Event()
    client = await connect(server.settings("catalog"), "catalog", on_closed=out.set)
    make_keys(server.keys, anew=True)
    os.kill(server.process.pid, signal.SIGHUP)
    await asyncio.wait_for(out.wait(), HOLDS_SECONDS)
    assert client.is_closed
    again = await connect(server.settings("catalog"), "catalog")
    await eventually(lambda: _answers(server))
    await again.close()
    server.process.kill()


async def _answers(server: GuardedServer) -> bool:
    client = await connect(server.settings("ordering"), "ordering")
    try:
        return await stream_info(client, "EV_ordering") is None
    finally:
        await client.close()
