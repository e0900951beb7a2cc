"""compose.yaml, unmodified, in real containers: started, scaled, hurt and taken down from outside."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

import httpx

from contexts import NAMES as CONTEXTS
from tests.support.deadlines import COMMAND_SECONDS, HOLDS_SECONDS

ROOT = Path(__file__).parents[3]
WITHOUT_SYSTEMD = ROOT / "infra" / "deploy" / "local-images" / "containers.conf"
PROJECT = "orderfold-test"
UNHEALTHY = ("--filter", "health=starting", "--filter", "health=unhealthy")
TABLES = ("read-models-a", "read-models-b")
SERVERS = ("nats", "postgres", "mongo")
CORE = ("edge", "gateway", *TABLES, *CONTEXTS, "provider", *SERVERS)
WATCHED = {*CONTEXTS, "read-models", "gateway"}
"""What tells of itself, by the names it has there."""


class CommandFailed(Exception):
    """A program ended badly; the message has what it said."""


class End(NamedTuple):
    """The end of a container's first process."""

    at: float
    status: int


class Stack:
    """The stack under a project name of its own; there is one at a time."""

    def __init__(self, folder: Path, ports: dict[str, int], *over: str) -> None:
        """`over` are files that change what compose.yaml says."""
        self._folder = folder
        self._socket = folder / "podman.sock"
        self.ports = ports
        self.port = ports["ORDERFOLD_PORT"]
        self.environment = {
            **os.environ,
            "DOCKER_HOST": f"unix://{self._socket}",
            "COMPOSE_FILE": os.pathsep.join(("compose.yaml", *over)),
            "COMPOSE_PROJECT_NAME": PROJECT,
            "COMPOSE_HTTP_TIMEOUT": "120",
            "ORDERFOLD_OTLP_ENDPOINT": "http://collector:4318",
            **{name: str(port) for name, port in ports.items()},
        }
        if not Path("/run/systemd/system").is_dir():
            self.environment["CONTAINERS_CONF"] = str(WITHOUT_SYSTEMD)
        self._closing = threading.Event()
        self._examiner = threading.Thread(target=self._examine, name="health checks", daemon=True)
        self._service: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        with (self._folder / "service.log").open("wb") as log:
            self._service = subprocess.Popen(
                ["podman", "system", "service", "--time=0", f"unix://{self._socket}"],
                stdout=log,
                stderr=log,
                env=self.environment,
            )
        eventually(self._socket.exists, "the service of podman")
        self._examiner.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.compose("down", "--volumes", "--remove-orphans", "--timeout", "5")
        self._closing.set()
        self._examiner.join()
        assert self._service is not None
        self._service.terminate()
        self._service.wait(20)

    def _examine(self) -> None:
        """Do what systemd's timers do elsewhere: have health checks run."""
        while not self._closing.wait(0.3):
            for container in self.podman("ps", "--quiet", *UNHEALTHY, check=False).split():
                self.podman("healthcheck", "run", container, check=False)

    def run(
        self, command: Sequence[str], *, check: bool = True, seconds: float = COMMAND_SECONDS, told: str = ""
    ) -> str:
        """What a program says on stdout that is told this on stdin; raises CommandFailed."""
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=self.environment,
            input=told,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )
        if check and done.returncode:
            raise CommandFailed(
                f"{' '.join(command)}: status {done.returncode}\n{done.stdout}\n{done.stderr}"
            )
        return done.stdout

    def podman(self, *arguments: str, check: bool = True) -> str:
        """Run podman."""
        return self.run(["podman", *arguments], check=check)

    def compose(self, *arguments: str) -> str:
        """Run docker-compose on its files."""
        return self.run(["docker-compose", *arguments])

    def up(self, *arguments: str) -> None:
        """Start what is not yet there; images are not built and, there being no registry, not pulled."""
        self.compose("up", "--detach", "--no-build", *arguments)

    def recreate(self, service: str) -> None:
        """Make a service's container anew: it sees secrets as they are now."""
        self.up("--no-deps", "--force-recreate", service)

    def containers(self, service: str = "", *filters: str) -> list[str]:
        """The running containers of a service, of all without."""
        wanted = [f"--filter=label=com.docker.compose.project={PROJECT}"]
        if service:
            wanted.append(f"--filter=label=com.docker.compose.service={service}")
        found = self.podman("ps", "--format={{.Names}}", *wanted, *(f"--filter={item}" for item in filters))
        return sorted(found.split())

    def container(self, service: str) -> str:
        """The first container of a service."""
        return self.containers(service)[0]

    def last_log_line(self, container: str) -> str:
        """What a container said last."""
        return self.podman("logs", "--tail=2", container, check=False).strip()

    def ended(self, container: str) -> End:
        """When a container ended, and how."""
        seen = json.loads(self.podman("inspect", container))[0]["State"]
        return End(datetime.fromisoformat(seen["FinishedAt"]).timestamp(), seen["ExitCode"])

    def kill(self, container: str) -> None:
        """Kill its first process from outside, as a crash would end it."""
        os.kill(int(self.podman("inspect", "--format={{.State.Pid}}", container)), signal.SIGKILL)

    def started(self, container: str) -> tuple[int, str]:
        """The id of its first process, and since when it runs."""
        pid, since = self.podman("inspect", "--format={{.State.Pid}} {{.State.StartedAt}}", container).split(
            " ", 1
        )
        return int(pid), since

    @contextlib.contextmanager
    def paused(self, container: str) -> Iterator[None]:
        """Stop all its processes in their tracks for a while."""
        self.podman("pause", container)
        try:
            yield
        finally:
            self.podman("unpause", container)

    @contextlib.contextmanager
    def cut_off(self, service: str) -> Iterator[None]:
        """Take a container off the internal network for a while."""
        network, container = f"{PROJECT}_internal", self.container(service)
        self.podman("network", "disconnect", network, container)
        try:
            yield
        finally:
            self.podman("network", "connect", "--alias", service, network, container)

    def operator(self, *command: str) -> str:
        """Run the orderfold command in a container, as an operator."""
        return self.compose("run", "--rm", "-T", "operator", *command)

    def auditor(self, customer_id: str, *texts: str, check: bool = True) -> str:
        """Look whether anything is left of a forgotten customer, these texts for one."""
        command = ["docker-compose", "run", "--rm", "-T", "auditor", customer_id, "--json", "--text", "-"]
        return self.run(command, check=check, told="\n".join(texts))

    def watched(self) -> set[str]:
        """The services of which Prometheus sees a process."""
        query = {"query": 'up{job="orderfold"} == 1'}
        try:
            answer = httpx.get(f"http://127.0.0.1:{self.ports['PROMETHEUS_PORT']}/api/v1/query", params=query)
        except httpx.TransportError:
            return set()
        return {found["metric"]["service"] for found in answer.json()["data"]["result"]}

    def left(self) -> list[str]:
        """What there still is of the project."""
        label = f"--filter=label=com.docker.compose.project={PROJECT}"
        kinds = (("ps", "--all"), ("network", "ls"), ("volume", "ls"))
        return [found for kind in kinds for found in self.podman(*kind, "--quiet", label).split()]


def eventually(look: Callable[[], bool], what: str, seconds: float = HOLDS_SECONDS) -> None:
    """Look until it is so; fails after the time limit."""
    end = time.monotonic() + seconds
    while not look():
        assert time.monotonic() < end, f"not within {seconds:g} s: {what}"
        time.sleep(0.2)
