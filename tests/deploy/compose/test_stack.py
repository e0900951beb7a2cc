"""The container stack at work: an order's life, more processes under load, crashes, pauses, cut networks."""

from __future__ import annotations

import asyncio
import json
from functools import partial
from pathlib import Path

import httpx
import pytest

from contexts import NAMES as CONTEXTS
from infra.deploy.compose_exchange import add_master_key, drop_master_key, new_password
from infra.settings import Settings
from infra.vault.master_keys import MasterKeySource
from tests.deploy.compose.life import delivered, nothing_is_left_of_the_forgotten
from tests.deploy.compose.load import Load
from tests.deploy.compose.stack import CORE, PROJECT, SERVERS, TABLES, WATCHED, Stack, eventually
from tests.support.deadlines import whole_run
from tests.support.shop import Shop
from tests.support.shop import eventually as becomes

pytestmark = [pytest.mark.podman, pytest.mark.slow, whole_run]

PAUSED_SECONDS = 2.0


async def test_an_order_becomes_a_delivered_parcel(stack: Stack, token: str) -> None:
    async with Shop(f"http://127.0.0.1:{stack.port}", token) as shop:
        assert await delivered(shop) == 2850


async def test_everything_runs_as_it_should(stack: Stack) -> None:
    """Not as root where it is ours, read-only, and out of reach but through the edge."""
    for service in ("gateway", "ordering", "read-models-a"):
        assert stack.podman("exec", stack.container(service), "id", "-u").strip() == "10001"
        seen = json.loads(stack.podman("inspect", stack.container(service)))[0]
        assert seen["HostConfig"]["ReadonlyRootfs"]
        assert seen["HostConfig"]["Memory"] == 512 * 1024 * 1024
    published = {
        name: ports
        for name in stack.containers()
        if (ports := stack.podman("port", name, check=False).strip())
    }
    assert published == {
        stack.container("edge"): f"8080/tcp -> 127.0.0.1:{stack.port}",
        stack.container("prometheus"): f"9090/tcp -> 127.0.0.1:{stack.ports['PROMETHEUS_PORT']}",
        stack.container("alertmanager"): f"9093/tcp -> 127.0.0.1:{stack.ports['ALERTMANAGER_PORT']}",
    }


async def test_more_processes_share_the_work_under_load(stack: Stack, http: httpx.AsyncClient) -> None:
    async with Load(http) as load:
        await load.goes_on()
        await asyncio.to_thread(stack.up, "--no-recreate", "--scale=ordering=2", "--scale=gateway=2")
        gateways, orderings = stack.containers("gateway"), stack.containers("ordering")
        assert (len(gateways), len(orderings)) == (2, 2)
        for container, url, sign in (
            *((name, "http://127.0.0.1:8080/metrics", "orderfold_http_requests_total") for name in gateways),
            *((name, "http://127.0.0.1:9464/metrics", "orderfold_commands_total") for name in orderings),
        ):
            work = partial(asyncio.to_thread, counted, stack, container, url, sign)
            await becomes(work, lambda count: count > 0, f"work of {container}")
        for name in (gateways[0], orderings[0]):
            await killed(stack, name)
            await load.goes_on()


def counted(stack: Stack, container: str, url: str, metric: str) -> float:
    """The sum of a metric that a container has of orders."""
    program = f"import urllib.request as u; print(u.urlopen('{url}', timeout=5).read().decode())"
    lines = stack.podman("exec", container, "python", "-c", program, check=False).splitlines()
    wanted = [
        line for line in lines if line.startswith(metric) and ("PlaceOrder" in line or "orders" in line)
    ]
    return sum(float(line.rpartition(" ")[2]) for line in wanted)


async def killed(stack: Stack, container: str) -> None:
    """Kill a container's first process, and wait until the container runs again by itself."""
    _, before = stack.started(container)

    def again() -> bool:
        pid, since = stack.started(container)
        return pid != 0 and since != before

    stack.kill(container)
    await asyncio.to_thread(eventually, again, f"{container} again")


async def test_the_spans_of_an_order_reach_the_collector_from_every_service(stack: Stack, token: str) -> None:
    """With the setting that tracing needs; until now there was nobody to take them, which held up nothing."""
    await asyncio.to_thread(stack.up, "--no-deps", "--no-recreate", "collector")
    async with Shop(f"http://127.0.0.1:{stack.port}", token) as shop:
        await shop.stock("VASE", 10, price=950)
        await shop.customer("traced")
        await shop.order("traced-1", "traced", {"VASE": 1})
        await shop.stage_becomes("traced-1", "awaiting-dispatch")
    collector = stack.container("collector")

    async def heard_of() -> set[str]:
        said = await asyncio.to_thread(stack.podman, "logs", collector)
        return {name for name in WATCHED if f"({name})" in said}

    await becomes(heard_of, WATCHED.__eq__, "services whose spans came")


async def test_prometheus_sees_every_process(stack: Stack) -> None:
    await asyncio.to_thread(eventually, lambda: stack.watched() == WATCHED, "Prometheus' sight of all")


async def test_any_container_killed_comes_back_and_the_rest_goes_on(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    async with Load(http) as load:
        for service in CORE:
            await killed(stack, stack.container(service))
            await load.goes_on()
        await everything_catches_up(http, load)


async def test_any_container_paused_holds_up_only_what_needs_it(
    stack: Stack, http: httpx.AsyncClient
) -> None:
    needed = {"edge", "gateway", "ordering", *SERVERS}
    async with Load(http) as load:
        for service in CORE:
            with stack.paused(stack.container(service)):
                if service in needed:
                    await asyncio.sleep(PAUSED_SECONDS)
                else:
                    await load.goes_on()
            await load.goes_on()
        await everything_catches_up(http, load)


async def test_a_cut_network_heals(stack: Stack, http: httpx.AsyncClient) -> None:
    async with Load(http) as load:
        for service in ("inventory", TABLES[0], "nats", "postgres"):
            with stack.cut_off(service):
                await asyncio.sleep(PAUSED_SECONDS)
            await load.goes_on()
        await everything_catches_up(http, load)


async def everything_catches_up(http: httpx.AsyncClient, load: Load) -> None:
    """All processes are there again, and every order that was accepted is paid for and ready to be sent."""

    async def readiness() -> int:
        return (await http.get("/health/ready")).status_code

    async def stage_of(order_id: str) -> str:
        answer = await http.get(f"/v1/fulfilments/{order_id}")
        return str(answer.json().get("stage")) if answer.status_code == 200 else str(answer.status_code)

    await becomes(readiness, lambda status: status == 200, "the gateway's readiness")
    for order_id in list(load.accepted):
        await becomes(partial(stage_of, order_id), "awaiting-dispatch".__eq__, order_id)


async def test_streams_and_documents_are_what_the_stores_say(stack: Stack) -> None:
    found = json.loads(await asyncio.to_thread(stack.operator, "verify", "--json"))
    assert found["clean"], found
    assert {checked["context"] for checked in found["contexts"]} == set(CONTEXTS)


async def test_the_master_key_and_a_password_are_exchanged_while_it_runs(stack: Stack, secrets: Path) -> None:
    """The commands of infra/deploy/README.md; the test after it registers a customer."""
    old = MasterKeySource(Settings(master_key_file=secrets / "keys" / "master-keys"))().current
    add_master_key(secrets)
    await asyncio.to_thread(stack.recreate, "customers")
    await asyncio.to_thread(stack.compose, "exec", "-T", "customers", "orderfold", "keys", "rotate")
    drop_master_key(secrets, old)
    statement = new_password(secrets, "customers")
    psql = ("psql", "-h", "/run/postgresql", "-U", "postgres", "--no-psqlrc")
    command = ["podman", "exec", "--interactive", stack.container("postgres"), *psql]
    assert await asyncio.to_thread(stack.run, command, told=statement) == "ALTER ROLE\n"
    await asyncio.to_thread(stack.recreate, "customers")


async def test_nothing_is_left_of_a_customer_who_was_forgotten(stack: Stack, token: str) -> None:
    async with Shop(f"http://127.0.0.1:{stack.port}", token) as shop:
        await nothing_is_left_of_the_forgotten(stack, shop)


async def test_it_stops_and_leaves_nothing_behind(stack: Stack) -> None:
    """Every process ends by itself when it is told to; none is killed."""
    running = stack.containers()
    await asyncio.to_thread(stack.compose, "stop")
    words = {name: stack.last_log_line(name) for name in running if stack.ended(name).status}
    await asyncio.to_thread(stack.compose, "down", "--volumes")
    assert stack.left() == []
    # podman keeps what watched over an `exec` for five minutes after its end.
    processes = stack.run(["ps", "-eo", "args"]).splitlines()
    assert [it for it in processes if PROJECT in it and "--exec-attach" not in it] == []
    assert words == {}
