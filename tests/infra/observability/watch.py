"""A real Prometheus and a real Alertmanager on the project's own configuration, watching a stack."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import yaml

from infra.embedded.servers import Process, listening
from infra.sockets import free_port
from tests.infra.observability.debian import CONFIGURATION
from tests.support.deadlines import HOLDS_SECONDS

SCRAPE = "3s"
"""A slow machine takes its time to answer one."""
EVALUATE = "500ms"
HELD = "10s"
"""Longer than three scrapes that come to nothing."""


class Webhook:
    """Takes what Alertmanager sends."""

    def __init__(self) -> None:
        self.alerts: list[dict[str, Any]] = []
        webhook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                webhook.alerts += sent["alerts"]
                self.send_response(200)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/alerts"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def received(self, name: str, **labels: str) -> list[dict[str, Any]]:
        """Alerts of a name, with these labels, that were told to fire."""
        wanted = {"alertname": name, **labels}
        return [
            alert
            for alert in self.alerts
            if alert["status"] == "firing" and wanted.items() <= alert["labels"].items()
        ]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@dataclass(frozen=True)
class Watch:
    """The two at work."""

    webhook: Webhook
    prometheus: str

    async def query(self, expression: str) -> list[float]:
        """The values of an expression now."""
        async with httpx.AsyncClient(timeout=HOLDS_SECONDS) as client:
            answer = await client.get(f"{self.prometheus}/api/v1/query", params={"query": expression})
        return [float(item["value"][1]) for item in answer.raise_for_status().json()["data"]["result"]]


def quickened(folder: Path, targets: Mapping[str, str], alertmanager: int, webhook: str) -> tuple[Path, Path]:
    """The project's configuration, made quick and local; nothing else of it is changed.

    - Prometheus scrapes every three seconds and evaluates more often; services are found at the addresses
      given, not by DNS.
    - Alerts wait (`for`) ten seconds before they fire: on a busy machine a scrape may come to nothing.
      What they look at and where their limits are stays.
    - Alertmanager sends at once, and to the test's webhook.
    """
    found = yaml.safe_load((CONFIGURATION / "prometheus" / "prometheus.yml").read_text())
    found["global"] |= {"scrape_interval": SCRAPE, "scrape_timeout": SCRAPE, "evaluation_interval": EVALUATE}
    found["alerting"]["alertmanagers"][0]["static_configs"][0]["targets"] = [f"127.0.0.1:{alertmanager}"]
    (orderfold,) = [job for job in found["scrape_configs"] if job["job_name"] == "orderfold"]
    del orderfold["dns_sd_configs"], orderfold["relabel_configs"]
    orderfold["static_configs"] = [
        {"targets": [url.removeprefix("http://")], "labels": {"service": name}}
        for name, url in targets.items()
    ]
    found["scrape_configs"] = [orderfold]
    (folder / "rules").mkdir(parents=True)
    for file in (CONFIGURATION / "prometheus" / "rules").glob("*.yml"):
        rules = yaml.safe_load(file.read_text())
        for group in rules["groups"]:
            for rule in group["rules"]:
                if "for" in rule:
                    rule["for"] = HELD
        (folder / "rules" / file.name).write_text(yaml.safe_dump(rules))
    routes = yaml.safe_load((CONFIGURATION / "alertmanager" / "alertmanager.yml").read_text())
    routes["route"] |= {"group_wait": "0s", "group_interval": "1s"}
    routes["receivers"][0]["webhook_configs"][0]["url"] = webhook
    prometheus, manager = folder / "prometheus.yml", folder / "alertmanager.yml"
    prometheus.write_text(yaml.safe_dump(found))
    manager.write_text(yaml.safe_dump(routes))
    return prometheus, manager


@asynccontextmanager
async def watching(folder: Path, targets: Mapping[str, str]) -> AsyncIterator[Watch]:
    """Prometheus and Alertmanager, both ready; stopped at the end."""
    webhook = Webhook()
    ports = free_port(), free_port()
    prometheus, manager = quickened(folder, targets, ports[1], webhook.url)
    processes = [
        Process(
            "prometheus",
            [
                "prometheus",
                f"--config.file={prometheus}",
                f"--storage.tsdb.path={folder / 'tsdb'}",
                f"--web.listen-address=127.0.0.1:{ports[0]}",
            ],
            folder / "prometheus.log",
            lambda: listening(ports[0]),
        ),
        Process(
            "alertmanager",
            [
                "prometheus-alertmanager",
                f"--config.file={manager}",
                f"--storage.path={folder / 'alerts'}",
                f"--web.listen-address=127.0.0.1:{ports[1]}",
                "--cluster.listen-address=",
            ],
            folder / "alertmanager.log",
            lambda: listening(ports[1]),
        ),
    ]
    try:
        for process in processes:
            await asyncio.to_thread(process.start)
        yield Watch(webhook, f"http://127.0.0.1:{ports[0]}")
    finally:
        for process in processes:
            await asyncio.to_thread(process.stop)
        webhook.stop()
