"""The embedded stack's own processes, each asked at the port where it tells its metrics and its health."""

from __future__ import annotations

import asyncio
from pathlib import Path

import httpx

from gateway.cli.doctor.finding import Checked
from infra.embedded.data_folder import DataFolder
from infra.embedded.ports import read_ports
from infra.embedded.supervisor import last_log_line
from infra.observability.health.readiness import troubles
from infra.settings import Settings

SECONDS = 5.0


async def check_processes(settings: Settings) -> list[Checked]:
    """Whether each can work; none where there is no embedded stack."""
    folder = DataFolder(settings.data)
    ports = read_ports(folder.ports)
    if ports is None:
        return []
    async with httpx.AsyncClient(timeout=SECONDS) as client:
        return list(
            await asyncio.gather(
                *(_check(client, name, url, folder.log(name)) for name, url in ports.monitors.items())
            )
        )


async def _check(client: httpx.AsyncClient, name: str, url: str, log: Path) -> Checked:
    fix = f"see {log}"
    try:
        reply = await client.get(f"{url}/health/ready")
    except httpx.HTTPError as error:
        # Of a process that refuses to start, its last words name what is to be done.
        said = last_log_line(log)
        said = f"; it said: {said}" if said else ""
        return Checked(name, f"{url}/metrics: {str(error) or type(error).__name__}{said}", fix)
    if reply.is_success:
        return Checked(name, f"ready; {url}/metrics")
    return Checked(name, f"not ready: {'; '.join(troubles(reply.content))}; {url}/metrics", fix)
