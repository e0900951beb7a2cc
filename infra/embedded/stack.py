"""The embedded stack: real servers and all of Orderfold's processes under one supervisor, on one folder."""

from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import httpx
import msgspec

from infra.aio import cancel_all
from infra.embedded.data_folder import DataFolder
from infra.embedded.mongo import MongoProgram, mongo_server, program_for, set_aside_if_unusable
from infra.embedded.pid_files import end_orphans
from infra.embedded.ports import Ports, choose_ports
from infra.embedded.secantusdb import restart_when_broken
from infra.embedded.servers import Process, ServerFailed, listening, nats_server
from infra.embedded.supervisor import MOST_DEATHS, SupervisedProcess
from infra.observability.health.readiness import not_ready, troubles
from infra.security.development_issuer import SigningKeys, jwks_file, private_file, write_secret
from infra.security.tls import client_context
from infra.security.webhook_signature import new_secret
from infra.settings import Settings, load_settings
from infra.vault.key_store import refuse_if_wrapped
from infra.vault.master_keys import master_keys_file, new_master_keys, write_master_keys

READY_SECONDS = 180.0
"""From the first process started to everything ready; a large store is folded within it."""

LONGEST_TROUBLE = 400
"""Characters that are repeated of what readiness says is wrong."""

STOPS: tuple[tuple[float, tuple[str, ...]], ...] = (
    (11.0, ("gateway",)),
    (3.0, ("contexts", "read-models")),
    (3.0, ("provider", "nats", "mongo")),
)
"""Who is stopped together, in which order, and the seconds each has; the gateway finishes its requests."""

WEBHOOK_PATH = "/v1/webhooks/payments"


DOCUMENTS = "documents:"
"""How the gateway names the check of a read model's documents; commands mend them while the stack runs."""


class EmbeddedStack:
    """Everything on one machine. `async with` starts it, waits until it is ready, and stops it."""

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        environ: Mapping[str, str] = os.environ,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`environ` may hold further `ORDERFOLD_*` settings; `say` is told, in a line each, what happens."""
        self.folder = DataFolder(folder)
        self._environ = dict(environ)
        self._given = load_settings(environ)
        self._port = port or self._given.port
        self._say = say
        self._processes: dict[str, SupervisedProcess] = {}
        self._keepers: list[asyncio.Task[None]] = []
        self._ports: Ports | None = None
        self._mongo: MongoProgram | None = None
        self._trouble = ""

    @property
    def ports(self) -> Ports:
        """Where its parts listen; known once it was started."""
        if self._ports is None:
            raise RuntimeError("the embedded stack has not been started")
        return self._ports

    @property
    def mongo(self) -> MongoProgram:
        """What serves MongoDB's protocol; known once it was started."""
        if self._mongo is None:
            raise RuntimeError("the embedded stack has not been started")
        return self._mongo

    @property
    def mongo_folder(self) -> Path:
        """Where MongoDB's data and log are."""
        return self.folder.root / "mongo"

    @property
    def url(self) -> str:
        """Where the gateway is found from this machine."""
        return msgspec.structs.replace(self._given, port=self._port).gateway_url

    @property
    def environment(self) -> dict[str, str]:
        """The environment of its processes: what was given, and where the parts are."""
        return {
            **self._environ,
            "ORDERFOLD_DATA": str(self.folder.root),
            "ORDERFOLD_NATS_URL": f"nats://127.0.0.1:{self.ports.nats}",
            "ORDERFOLD_NATS_MONITOR_URL": f"http://127.0.0.1:{self.ports.nats_http}",
            "ORDERFOLD_MONGO_URL": f"mongodb://127.0.0.1:{self.ports.mongo}",
            "ORDERFOLD_PORT": str(self.ports.gateway),
            "ORDERFOLD_PROVIDER_URL": f"http://127.0.0.1:{self.ports.provider}",
            "ORDERFOLD_JWKS": str(jwks_file(self.folder.keys)),
            "ORDERFOLD_WEBHOOK_SECRET": str(self.folder.webhook_secret),
        }

    @property
    def settings(self) -> Settings:
        """The settings its processes have."""
        return load_settings(self.environment)

    @property
    def metrics_urls(self) -> dict[str, str]:
        """Where each of Orderfold's processes tells its metrics and its health."""
        return {"gateway": self.url, **self.ports.monitors}

    @property
    def pids(self) -> dict[str, int]:
        """The process ids, by name."""
        return {name: process.pid for name, process in self._processes.items()}

    async def __aenter__(self) -> Self:
        try:
            await self.start()
            await self.ready()
        except BaseException:
            await self.stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        """Take the folder and start every process; raises FolderUnusable, PortTaken or ServerFailed."""
        await self.start_servers()
        await self._start(("contexts", "read-models", "gateway"))

    async def start_servers(self) -> None:
        """Take the folder and start the servers alone, not what works on their data; raises as `start`."""
        self.folder.acquire()
        for name in await asyncio.to_thread(end_orphans, self.folder.run):
            self._say(f"ended {name}, left over from a run that was killed")
        self._mongo = await asyncio.to_thread(program_for, self.mongo_folder, self._given.mongod)
        self._ports = choose_ports(self.folder.ports, gateway=self._port, host=self._given.host)
        self._make_secrets()
        self.folder.rotate_logs()
        self.folder.write_environment(self.environment)
        self._processes = {
            name: SupervisedProcess(name, build, self.folder.run, self._say)
            for name, build in self._builders().items()
        }
        await self._start(("nats", "mongo", "provider"))
        if not self.mongo.is_mongod:
            self._keepers.append(asyncio.create_task(self._mend_mongo(), name="mend mongo"))

    async def _start(self, names: Sequence[str]) -> None:
        for name in names:
            self._processes[name].spawn()
            self._keepers.append(asyncio.create_task(self._processes[name].keep(), name=f"keep {name}"))
        await self._all_serve(names)

    async def _mend_mongo(self) -> None:
        await restart_when_broken(self.settings, self.mongo_folder, lambda: self.kill("mongo"), self._say)

    def _make_secrets(self) -> None:
        """Make the secrets of a new folder. In one that was used before, what is made anew is told."""
        used = self.folder.environment.exists()
        made = [] if private_file(self.folder.keys).exists() else ["signing key: earlier tokens are refused"]
        SigningKeys.ensure(self.folder.keys)
        if not self.folder.webhook_secret.exists():
            write_secret(self.folder.webhook_secret, new_secret().encode("ascii"))
            made.append("webhook secret: webhooks that were signed before are refused and sent again")
        if not (self.folder.root / "provider" / "ledger.db").exists():
            made.append("ledger of the payment sandbox: it knows of no earlier payment")
        master_keys = master_keys_file(self.settings)
        if not self._given.master_key and not master_keys.exists():
            refuse_if_wrapped(self.settings)
            write_master_keys(master_keys, new_master_keys())
        for what in made if used else ():
            self._say(f"made a new {what}")

    def _builders(self) -> dict[str, Callable[[], Process]]:
        root, ports = self.folder.root, self.ports
        return {
            "nats": lambda: nats_server(root / "nats", ports.nats, ports.nats_http),
            "mongo": self._mongo_server,
            "provider": lambda: self._module(
                "provider",
                [
                    "infra.payment_sandbox",
                    *("--port", str(ports.provider)),
                    *("--data", str(root / "provider")),
                    *("--webhook-url", self.url + WEBHOOK_PATH),
                    *("--secret-file", str(self.folder.webhook_secret)),
                ],
                lambda: listening(ports.provider),
            ),
            # These two tell through the gateway's readiness how they are.
            "contexts": lambda: self._module(
                "contexts", ["contexts"], lambda: True, metrics=ports.contexts_metrics
            ),
            "read-models": lambda: self._module(
                "read-models", ["read_models", "run"], lambda: True, metrics=ports.read_models_metrics
            ),
            "gateway": lambda: self._module("gateway", ["gateway"], lambda: listening(ports.gateway)),
        }

    def _mongo_server(self) -> Process:
        set_aside_if_unusable(self.mongo_folder, self.mongo, self._say)
        return mongo_server(self.mongo_folder, self.ports.mongo, self.mongo)

    def _module(
        self, name: str, arguments: Sequence[str], ready: Callable[[], bool], *, metrics: int = 0
    ) -> Process:
        # -P: a folder named `contexts` where the user happens to stand must not be taken for ours.
        command = [sys.executable, "-P", "-m", *arguments]
        environment = {**self.environment, "ORDERFOLD_METRICS_PORT": str(metrics)}
        if name == "provider" and self._given.tls_ca is not None:
            # Somebody else's program: it is not told Orderfold's settings.
            environment["SSL_CERT_FILE"] = str(self._given.tls_ca.absolute())
        return Process(name, command, self.folder.log(name), ready, env=environment)

    async def _all_serve(self, names: Sequence[str]) -> None:
        deadline = asyncio.get_running_loop().time() + READY_SECONDS
        while waiting := [name for name in names if not self._processes[name].serves()]:
            self._raise_failure()
            if asyncio.get_running_loop().time() > deadline:
                words = self._processes[waiting[0]].last_log_line()
                msg = f"{waiting[0]} was not ready within {READY_SECONDS:g} s: {words}"
                raise ServerFailed(msg)
            await asyncio.sleep(0.02)

    async def ready(self, within: float = READY_SECONDS, tell: Callable[[str], None] | None = None) -> None:
        """Return when the gateway says that it, and all it stands on, is ready; raises ServerFailed.

        `tell` is given what is still waited for, as it changes.
        """
        deadline = asyncio.get_running_loop().time() + within
        told = ""
        tls = await asyncio.to_thread(client_context, *self._given.client_tls)
        async with httpx.AsyncClient(timeout=5.0, verify=tls) as client:
            while (missing := await self._missing(client)) != "":
                self._raise_failure()
                if tell is not None and missing != told:
                    tell(missing)
                    told = missing
                if asyncio.get_running_loop().time() > deadline:
                    msg = f"not ready within {within:g} s: {self._trouble or missing}"
                    msg = f"{msg} (logs: {self.folder.root / 'logs'})"
                    raise ServerFailed(msg)
                await asyncio.sleep(0.1)
        for process in self._processes.values():
            process.most_deaths = MOST_DEATHS

    async def _missing(self, client: httpx.AsyncClient) -> str:
        try:
            answer = await client.get(f"{self.url}/health/ready")
        except httpx.TransportError:
            return "gateway"
        if answer.is_success:
            return ""
        self._trouble = "; ".join(troubles(answer.content))[:LONGEST_TROUBLE]
        missing = not_ready(answer.content)
        waited_for = [name for name in missing if not name.startswith(DOCUMENTS)]
        if missing and not waited_for:
            # What was lost is not back before a command builds it anew, which needs the stack.
            return ""
        return ", ".join(waited_for) or f"gateway (status {answer.status_code})"

    def _raise_failure(self) -> None:
        for keeper in self._keepers:
            if keeper.done() and not keeper.cancelled():
                keeper.result()

    async def watch(self) -> None:
        """Raise ServerFailed when a process cannot be kept alive; otherwise do not return."""
        await asyncio.wait(self._keepers, return_when=asyncio.FIRST_EXCEPTION)
        self._raise_failure()

    def kill(self, name: str) -> None:
        """Kill a process with SIGKILL; the supervisor starts it again."""
        self._processes[name].kill()

    def hold(self, name: str) -> None:
        """Kill a process and leave it dead until `release`."""
        self._processes[name].hold()

    async def release(self, name: str) -> None:
        """Start a held process again and return when it serves."""
        self._processes[name].release()
        await self._all_serve([name])

    async def restart(self, name: str) -> None:
        """Kill a process and return when its successor serves."""
        self.hold(name)
        await self.release(name)

    async def wipe(self, name: str) -> None:
        """Kill `nats` or `mongo`, delete everything it has stored, and return when it serves again."""
        folders = {"nats": self.folder.root / "nats", "mongo": self.mongo_folder}
        self.hold(name)
        await asyncio.to_thread(shutil.rmtree, folders[name])
        await self.release(name)

    async def stop(self) -> None:
        """Stop every process in order, the gateway first, and let go of the folder."""
        # What one failed with was told by whoever watched.
        await cancel_all(*self._keepers)
        self._keepers.clear()
        for seconds, names in STOPS:
            running = [self._processes[name] for name in names if name in self._processes]
            await asyncio.gather(*(process.stop(seconds) for process in running))
        self._processes.clear()
        self.folder.release()

    def kill_all(self) -> None:
        """End every process at once: for a user who will not wait."""
        for process in self._processes.values():
            process.hold()
