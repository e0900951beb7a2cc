"""Every service as a process and a NATS user of its own, as containers run them."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx

from contexts import NAMES
from gateway.http.guard import SCOPES
from infra.deploy.nats_keys import seed_file
from infra.embedded.servers import Process, listening
from infra.security.development_issuer import SigningKeys, jwks_file, write_secret
from infra.security.webhook_signature import new_secret
from infra.settings import load_settings
from infra.sockets import free_port
from infra.vault.master_keys import new_master_keys, write_master_keys
from tests.infra.nats.server import GuardedServer
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.subprocesses import communicate


class Deployment:
    """`async with` starts it, waits until it is ready, and ends it."""

    def __init__(self, folder: Path, mongo_url: str, mongo_database: str, **settings: str) -> None:
        """`settings` are further ones, without their prefix and in small letters."""
        self.folder = folder
        self.nats = GuardedServer(folder / "nats")
        self.port, self.provider_port = free_port(), free_port()
        self._secret = folder / "webhook.secret"
        self._environment = {
            "PATH": os.environ["PATH"],
            "COLUMNS": "200",
            "ORDERFOLD_DATA": str(folder / "data"),
            "ORDERFOLD_NATS_URL": self.nats.url,
            "ORDERFOLD_NATS_MONITOR_URL": self.nats.monitor_url,
            "ORDERFOLD_MONGO_URL": mongo_url,
            "ORDERFOLD_MONGO_DATABASE": mongo_database,
            "ORDERFOLD_PORT": str(self.port),
            "ORDERFOLD_PROVIDER_URL": f"http://127.0.0.1:{self.provider_port}",
            "ORDERFOLD_WEBHOOK_SECRET": str(self._secret),
            "ORDERFOLD_JWKS": str(jwks_file(self.keys)),
            **{f"ORDERFOLD_{name.upper()}": value for name, value in settings.items()},
        }
        self.processes: dict[str, Process] = {}
        self.metrics_ports: dict[str, int] = {}

    @property
    def keys(self) -> Path:
        return self.folder / "data" / "keys"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def environment(self, user: str) -> dict[str, str]:
        """What a process of a NATS user gets."""
        return {**self._environment, "ORDERFOLD_NATS_CREDENTIALS": str(seed_file(self.nats.keys, user))}

    def token(self) -> str:
        """Of somebody who may do everything over HTTP."""
        settings = load_settings(self._environment)
        return SigningKeys.load(self.keys).mint(
            tuple(SCOPES),
            subject="shop",
            lifetime=timedelta(hours=1),
            issuer=settings.jwt_issuer,
            audience=settings.jwt_audience,
        )

    async def __aenter__(self) -> Self:
        try:
            self._start()
            await self.ready()
        except BaseException:
            self._end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def _start(self) -> None:
        SigningKeys.ensure(self.keys)
        write_master_keys(self.keys / "master-keys", new_master_keys())
        write_secret(self._secret, new_secret().encode())
        self.processes["nats"] = self.nats.process
        self._add(
            "provider",
            "operator",
            [
                "infra.payment_sandbox",
                *("--port", str(self.provider_port), "--data", str(self.folder / "provider")),
                *("--webhook-url", f"{self.url}/v1/webhooks/payments", "--secret-file", str(self._secret)),
            ],
            lambda: listening(self.provider_port),
        )
        for name in NAMES:
            self._add(name, name, ["contexts", name])
        self._add("read_models", "read_models", ["read_models", "run"])
        self._add("gateway", "gateway", ["gateway"])
        for process in self.processes.values():
            process.spawn()

    def _add(
        self, name: str, user: str, arguments: list[str], ready: Callable[[], bool] = lambda: True
    ) -> None:
        command = [sys.executable, "-P", "-m", *arguments]
        log = self.folder / f"{name}.log"
        self.metrics_ports[name] = free_port()
        environment = {**self.environment(user), "ORDERFOLD_METRICS_PORT": str(self.metrics_ports[name])}
        self.processes[name] = Process(name, command, log, ready, env=environment)

    async def ready(self) -> None:
        """Return when the gateway says that everything is there."""
        async with asyncio.timeout(HOLDS_SECONDS), httpx.AsyncClient(timeout=5.0) as client:
            while True:
                for process in self.processes.values():
                    process.is_ready()
                try:
                    if (await client.get(f"{self.url}/health/ready")).status_code == 200:
                        return
                except httpx.HTTPError:
                    pass
                await asyncio.sleep(0.1)

    def _end(self) -> None:
        running = [process for process in self.processes.values() if process.running]
        for process in reversed(running):
            process.kill()

    def restart(self, context: str, **settings: str) -> None:
        """End a context's process and start it with further settings."""
        self.processes[context].stop()
        self._environment |= {f"ORDERFOLD_{name.upper()}": value for name, value in settings.items()}
        self._add(context, context, ["contexts", context])
        self.processes[context].start()

    async def metrics(self) -> dict[str, str]:
        """What each context and the read models tell of themselves: to find it out they ask around."""
        async with httpx.AsyncClient(timeout=HOLDS_SECONDS) as client:
            return {
                name: (await client.get(f"http://127.0.0.1:{self.metrics_ports[name]}/metrics")).text
                for name in (*NAMES, "read_models")
            }

    def wipe_jetstream(self) -> None:
        """Have nats-server come back with nothing."""
        self.nats.process.kill()
        shutil.rmtree(self.nats.data)
        self.nats.process.start()

    async def orderfold(self, *arguments: str) -> str:
        """Run the operator's command; what it printed."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "orderfold", *arguments),
            env=self.environment("operator"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        printed, problems = await communicate(process)
        assert process.returncode == 0, (arguments, printed.decode(), problems.decode())
        return printed.decode()

    def complaints(self) -> list[str]:
        """What any process was refused by nats-server, as the server and as the process tells it."""
        told = [
            line
            for log in self.folder.glob("*.log")
            for line in log.read_text(errors="replace").splitlines()
            if "nats permission denied" in line or "nats authentication failed" in line
        ]
        return self.nats.violations() + told
