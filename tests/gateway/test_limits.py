"""Each client may ask so much and no more; others do not notice."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Callable
from types import SimpleNamespace

import httpx
import msgspec
import nats as nats_client
import pytest
from nats.aio.msg import Msg

from gateway.http.client_address import client_address
from gateway.rate_limits import quota
from gateway.rate_limits.quota import LONGEST_NAME, MOST_TOLD, Limit, RouteClass
from gateway.rate_limits.replication import DECODER, SUBJECT, Counted, encode
from infra.settings import SettingsInvalid, load_settings
from tests.gateway.conftest import Contexts, Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS
from tests.support.nats_settled import settled

ORDER = {"customer_id": "c-1", "lines": [{"sku": "MUG", "quantity": 1}], "payment_method": "tok_approve"}
STANDING = re.compile(r'"(\w+)";r=(\d+);t=(\d+)')
LITTLE = {
    "ORDERFOLD_LIMIT_READS": "5/600",
    "ORDERFOLD_LIMIT_COMMANDS": "5/600",
    "ORDERFOLD_LIMIT_OPEN": "5/600",
}
"""Five, and the sixth after two minutes."""


@pytest.fixture
def gateway(new_gateway: Callable[..., Gateway]) -> Gateway:
    """A gateway of which little may be asked."""
    gateway = new_gateway(**LITTLE)
    gateway.start()
    return gateway


async def place(gateway: Gateway, token: str) -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}"}
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, verify=False, timeout=HOLDS_SECONDS
    ) as client:
        return await client.post("/v1/orders", json=ORDER)


async def get(gateway: Gateway, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(
        base_url=gateway.url, headers=headers, verify=False, timeout=HOLDS_SECONDS
    ) as client:
        return await client.get(path)


async def test_a_client_that_asks_too_much_is_told_when_to_go_on(
    gateway: Gateway, issuer: Issuer, contexts: Contexts
) -> None:
    token = issuer.token(scope="orders:write")
    for left in reversed(range(5)):
        answer = await place(gateway, token)
        assert answer.status_code == 201
        assert answer.headers["RateLimit-Policy"] == '"commands";q=5;w=600'
        standing = STANDING.fullmatch(answer.headers["RateLimit"])
        assert standing is not None
        assert standing[1] == "commands"
        assert int(standing[2]) == left
        assert 0 < int(standing[3]) <= 600
    answer = await place(gateway, token)
    problem = assert_problem(answer, 429, "rate-limited")
    assert "5 requests of the class commands in 600 s" in problem["detail"]
    assert 100 < int(answer.headers["Retry-After"]) <= 120
    assert answer.headers["RateLimit"].startswith('"commands";r=0;t=')
    assert len(contexts.received) == 5


async def test_others_and_other_classes_do_not_notice(
    gateway: Gateway, issuer: Issuer, contexts: Contexts
) -> None:
    """A token of the same subject is the same client."""
    for _ in range(6):
        answer = await place(gateway, issuer.token(scope="orders:write", jti=str(time.time_ns())))
    assert answer.status_code == 429
    assert (await place(gateway, issuer.token(scope="orders:write", sub="shop-2"))).status_code == 201
    bearer = f"Bearer {issuer.token(scope='orders:read')}"
    answer = await get(gateway, "/v1/orders?cursor=", Authorization=bearer)
    assert answer.status_code == 400
    assert answer.headers["RateLimit-Policy"] == '"reads";q=5;w=600'


async def test_whoever_tries_tokens_is_refused_by_address_and_good_tokens_still_get_in(
    gateway: Gateway, issuer: Issuer, contexts: Contexts
) -> None:
    for _ in range(5):
        assert_problem(await place(gateway, Issuer.another().token()), 401, "unauthenticated")
    assert_problem(await place(gateway, Issuer.another().token()), 429, "rate-limited")
    assert_problem(await get(gateway, "/v1/orders"), 429, "rate-limited")
    assert (await place(gateway, issuer.token(scope="orders:write"))).status_code == 201


async def test_health_may_be_asked_without_end_and_metrics_may_not(gateway: Gateway) -> None:
    statuses = {(await get(gateway, "/health/live")).status_code for _ in range(20)}
    assert statuses == {200}
    # Each waits for a MongoDB that is not there: together that is not longer.
    asked = await asyncio.gather(*(get(gateway, "/metrics") for _ in range(5)))
    assert {answer.status_code for answer in asked} == {200}
    assert_problem(await get(gateway, "/metrics"), 429, "rate-limited")


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/wp-login.php", 404), ("PUT", "/v1/orders", 405)]
)
async def test_what_there_is_not_is_asked_for_so_often_and_no_more(
    gateway: Gateway, method: str, path: str, status: int
) -> None:
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        for left in reversed(range(5)):
            answer = await client.request(method, path)
            assert answer.status_code == status
            assert answer.headers["RateLimit"].startswith(f'"open";r={left};t=')
        assert_problem(await client.request(method, path), 429, "rate-limited")


@pytest.mark.parametrize(
    "counts",
    [
        {"commands": {"shop-1": -1_000_000}},
        {"commands": {"shop-1": 10**400}},
        {"commands": {"x" * 65: 1}},
        {"commands": {str(number): 1 for number in range(MOST_TOLD + 1)}},
        {"everything": {"shop-1": 1}},
    ],
    ids=["given back", "endless", "a long name", "too many", "a class there is not"],
)
def test_what_no_gateway_says_is_not_heard(counts: dict[str, dict[str, int]]) -> None:
    with pytest.raises(msgspec.MsgspecError):
        DECODER.decode(json.dumps({"gateway": "another", "counts": counts}))


def test_what_a_gateway_says_at_most_is_heard_and_fits_into_a_message() -> None:
    limit = Limit(RouteClass.OPEN, 10, 60)
    for number in range(MOST_TOLD):
        limit.take(f"{number}" + "x" * (LONGEST_NAME - 6))
    told = Counted("a-gateway", dict.fromkeys(RouteClass, limit.untold()))
    assert DECODER.decode(encode(told)) == told
    assert len(encode(told)) < 1_000_000


async def test_gateways_have_one_limit_together(
    new_gateway: Callable[..., Gateway], nats_url: str, issuer: Issuer, contexts: Contexts
) -> None:
    first, second = new_gateway(**LITTLE), new_gateway(**LITTLE)
    for gateway in (first, second):
        gateway.start()
    told = 0

    async def heard(message: Msg) -> None:
        nonlocal told
        told += json.loads(message.data)["counts"]["commands"]["roaming"]

    listener = await nats_client.connect(nats_url)
    try:
        await listener.subscribe(SUBJECT, cb=heard)
        await settled(listener)
        token = issuer.token(scope="orders:write", sub="roaming")
        for _ in range(5):
            assert (await place(first, token)).status_code == 201
        async with asyncio.timeout(HOLDS_SECONDS):
            while told < 5:
                await asyncio.sleep(0.01)
    finally:
        await listener.close()
    served = 0
    while (answer := await place(second, token)).status_code == 201:
        served += 1
    assert_problem(answer, 429, "rate-limited")
    assert served < 5, "by itself it would let through five more; what is on its way to it is let pass"


async def test_what_one_gateway_counts_the_others_hear(
    gateway: Gateway, nats_url: str, issuer: Issuer, contexts: Contexts
) -> None:
    """Heard before it is asked: a client that has spent all elsewhere is refused at its first request."""
    other = await nats_client.connect(nats_url)
    try:
        async with asyncio.timeout(HOLDS_SECONDS):
            while "invalid request counts from another gateway" not in gateway.log:
                await other.publish(SUBJECT, b'{"gateway":"another","counts":{"commands":{"heard-of":5}}}')
                await other.publish(SUBJECT, b'{"gateway":7}')
                await other.flush()
                await asyncio.sleep(0.01)
    finally:
        await other.close()
    answer = await place(gateway, issuer.token(scope="orders:write", sub="heard-of"))
    assert_problem(answer, 429, "rate-limited")


async def test_a_limit_that_is_off_counts_nothing(
    new_gateway: Callable[..., Gateway], issuer: Issuer, contexts: Contexts
) -> None:
    gateway = new_gateway(ORDERFOLD_LIMIT_COMMANDS="off")
    gateway.start()
    answer = await place(gateway, issuer.token(scope="orders:write"))
    assert answer.status_code == 201
    assert "RateLimit" not in answer.headers


@pytest.mark.parametrize("limit", ["0/10", "10", "10/0", "-1/10", "many", "10/10s"])
def test_a_limit_that_is_none_keeps_the_gateway_from_starting(limit: str) -> None:
    with pytest.raises(SettingsInvalid, match="limit_open"):
        load_settings({"ORDERFOLD_LIMIT_OPEN": limit})


def test_a_bucket_is_filled_again_steadily(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1_000.0
    monkeypatch.setattr(quota, "time", SimpleNamespace(monotonic=lambda: now))
    limit = Limit(RouteClass.READS, 10, 1)
    assert [limit.take("ann").wait for _ in range(11)] == [0] * 10 + [1]
    now += 0.09
    assert limit.take("ann").wait
    now += 0.02
    assert not limit.take("ann").wait
    assert limit.take("ann").wait, "a tenth of the quota is back, not all of it"


def test_only_so_many_clients_are_remembered_and_told() -> None:
    limit = Limit(RouteClass.OPEN, 10, 60, most=100)
    for number in range(5_000):
        limit.take(f"client-{number}")
    assert len(limit) == 100
    assert len(limit.untold()) == MOST_TOLD
    assert limit.untold() == {}


def test_what_others_let_through_is_paid_later_but_not_for_ever() -> None:
    limit = Limit(RouteClass.OPEN, 10, 60)
    limit.hear({"ann": 1_000_000})
    assert limit.take("ann").wait <= 67, "a window, and a request"


def scope(peer: str, *forwarded: str) -> dict[str, object]:
    headers = [(b"x-forwarded-for", value.encode()) for value in forwarded]
    return {"client": (peer, 1), "headers": headers}


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, ["10.1.1.1"], "127.0.0.1"),
        (1, ["10.1.1.1"], "10.1.1.1"),
        (1, ["6.6.6.6, 10.1.1.1"], "10.1.1.1"),
        (1, ["6.6.6.6", "10.1.1.1"], "10.1.1.1"),
        (2, ["6.6.6.6, 10.1.1.1", "10.2.2.2"], "10.1.1.1"),
        (2, ["10.2.2.2"], "127.0.0.1"),
        (1, [], "127.0.0.1"),
        (1, ["nonsense"], "127.0.0.1"),
        (1, ["2001:db8:1:2:3:4:5:6"], "2001:db8:1:2::/64"),
        (1, ["::ffff:10.1.1.1"], "10.1.1.1"),
        (1, ["10.1.1.1:4711"], "10.1.1.1"),
        (1, ["[2001:db8:1:2:3:4:5:6]:4711"], "2001:db8:1:2::/64"),
        (1, ["[2001:db8:1:2::9]"], "2001:db8:1:2::/64"),
        (1, ["", ""], "127.0.0.1"),
        (1, ["10.1.1.1, "], "127.0.0.1"),
    ],
)
def test_a_client_is_whom_our_own_proxies_name(proxies: int, forwarded: list[str], address: str) -> None:
    assert client_address(scope("127.0.0.1", *forwarded), proxies) == address  # type: ignore[arg-type]
