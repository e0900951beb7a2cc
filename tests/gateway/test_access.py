"""Nobody gets in without a good token, nor further than its scopes reach."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from litestar import Litestar, get
from litestar.routes import HTTPRoute

from contexts.fulfilment import service as fulfilment
from gateway import webhooks
from gateway.app import make_litestar, make_services
from gateway.auth.tokens import NEVER_CUSTOMERS, OURS
from gateway.http.guard import CUSTOMERS_SCOPES, Access, AccessUndeclared, declared, refuse_undeclared
from gateway.http.ownership import Customers
from infra.settings import Settings
from tests.gateway.conftest import Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem
from tests.support.deadlines import HOLDS_SECONDS

Json = dict[str, Any]

OPEN = {"/health/live", "/health/ready", "/health/serving", "/metrics", "/docs", "/openapi.json"}


async def send(gateway: Gateway, authorization: str | bytes | None) -> httpx.Response:
    """Ask for something that a good token would get a 400 for."""
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        headers = {} if authorization is None else {b"Authorization": as_bytes(authorization)}
        return await client.get("/v1/orders?cursor=", headers=headers)


def as_bytes(text: str | bytes) -> bytes:
    return text.encode() if isinstance(text, str) else text


@pytest.mark.parametrize("algorithm", ["RS256", "ES256"])
@pytest.mark.parametrize(
    "changed",
    [
        {"scope": "orders:read stock:read"},
        {"scope": None, "scp": ["orders:read"]},
        {"scope": None, "scp": "orders:read"},
        {"aud": ["others", "orderfold-test"], "scope": "orders:read"},
    ],
    ids=["scope", "scp list", "scp text", "several audiences"],
)
async def test_a_good_token_is_let_in(
    gateway: Gateway, issuer: Issuer, algorithm: str, changed: Json
) -> None:
    answer = await send(gateway, f"Bearer {issuer.token(algorithm=algorithm, **changed)}")
    assert_problem(answer, 400, "invalid")


@pytest.mark.parametrize(
    ("seconds", "status", "name"), [(20, 400, "invalid"), (3_600, 401, "unauthenticated")]
)
async def test_the_issuers_clock_may_be_a_little_ahead(
    gateway: Gateway, issuer: Issuer, seconds: int, status: int, name: str
) -> None:
    then = int(time.time()) + seconds
    token = issuer.token(scope="orders:read", iat=then, nbf=then)
    assert_problem(await send(gateway, f"Bearer {token}"), status, name)


async def test_a_token_is_good_for_a_little_longer_than_it_says(gateway: Gateway, issuer: Issuer) -> None:
    """Clocks differ; 30 seconds are let pass."""
    token = issuer.token(exp=int(time.time()) - 1, scope="orders:read")
    assert_problem(await send(gateway, f"Bearer {token}"), 400, "invalid")


@pytest.mark.parametrize("kind", ["JWT", "at+jwt", "AT+JWT", "application/at+jwt"])
async def test_types_of_bearer_tokens_are_let_in(gateway: Gateway, issuer: Issuer, kind: Any) -> None:
    token = issuer.token(headers={"typ": kind}, scope="orders:read")
    assert_problem(await send(gateway, f"Bearer {token}"), 400, "invalid")


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (lambda issuer: issuer.token(exp=int(time.time()) - 40), "expired"),
        (lambda issuer: issuer.token(exp=None), "lacks"),
        (lambda issuer: issuer.token(exp="soon"), "cannot be used"),
        (lambda issuer: issuer.token(exp="9999999999"), "exp is no time"),
        (lambda issuer: issuer.token(exp=float("nan")), "cannot be used"),
        (lambda issuer: issuer.token(exp=float("inf")), "cannot be used"),
        (lambda issuer: issuer.token(exp=10**400), "exp is no time"),
        (lambda issuer: issuer.token(exp=True), "expired"),
        (lambda issuer: issuer.token(nbf=int(time.time()) + 3_600), "not valid yet"),
        (lambda issuer: issuer.token(nbf=float("inf")), "cannot be used"),
        (lambda issuer: issuer.token(nbf="0"), "nbf is no time"),
        (lambda issuer: issuer.token(iat=float("-inf")), "cannot be used"),
        (lambda issuer: issuer.token(iss="https://elsewhere.test"), "another issuer"),
        (lambda issuer: issuer.token(iss=issuer.name + "/"), "another issuer"),
        (lambda issuer: issuer.token(iss=None), "lacks"),
        (lambda issuer: issuer.token(aud="another"), "another audience"),
        (lambda issuer: issuer.token(aud=None), "lacks"),
        (lambda issuer: issuer.token(aud=[]), "lacks"),
        (lambda issuer: issuer.token(aud=["orderfold-test", 7]), "another audience"),
        (lambda issuer: issuer.token(aud={"orderfold-test": 1}), "another audience"),
        (lambda issuer: issuer.token(sub=None), "lacks"),
        (lambda issuer: issuer.token(sub=""), "subject"),
        (lambda issuer: issuer.token(sub="a\nb"), "subject"),
        (lambda issuer: issuer.token(sub="x" * 256), "subject"),
        (lambda issuer: issuer.token(sub="fulfilment"), "the system's own"),
        (lambda issuer: issuer.token(sub="payment-provider"), "the system's own"),
        (lambda issuer: issuer.token(sub="customer:ann"), "the system's own"),
        (lambda issuer: issuer.token(scope={"orders": "read"}), "scopes"),
        (lambda issuer: issuer.token(role="customer", customer_id=""), "names no customer"),
        (lambda issuer: issuer.token(role="customer", customer_id=["ann"]), "names no customer"),
        (lambda issuer: issuer.token(role="customer", customer_id="ann\n"), "names no customer"),
        (lambda issuer: issuer.token(role="customer", sub="auth0|ann"), "names no customer"),
        (lambda issuer: issuer.token(roles=[["customer"]]), "roles"),
        (lambda issuer: issuer.token(roles={"customer": True}), "roles"),
        (lambda issuer: issuer.token(role=7), "roles"),
        (lambda issuer: issuer.unsigned(scope="orders:read"), "RS256 or ES256"),
        (lambda issuer: issuer.confused(scope="orders:read"), "RS256 or ES256"),
        (lambda issuer: issuer.token(headers={"kid": "stolen"}), "not known"),
        (lambda issuer: issuer.token(algorithm="ES256", headers={"kid": "rsa-1"}), "not known"),
        (lambda issuer: issuer.token(headers={"kid": "../../etc/passwd"}), "not known"),
        (lambda issuer: issuer.token(headers={"kid": "k" * 5_000}), "not known"),
        (lambda issuer: issuer.token(headers={"crit": ["vip"], "vip": True}), "no JSON Web Token"),
        (lambda issuer: issuer.token(headers={"crit": []}), "no JSON Web Token"),
        (lambda issuer: issuer.token(headers={"typ": "logout+jwt"}), "not meant"),
        (lambda issuer: issuer.token(headers={"typ": "id_token+jwt"}), "not meant"),
        (lambda issuer: issuer.token()[:-8] + "AAAAAAAA", "signature"),
        (lambda issuer: swapped(issuer.token(), issuer.token(sub="admin")), "signature"),
        (lambda issuer: issuer.token() + "." + "x" * 9000, "longer"),
        (lambda _: "a.b.c", "no JSON Web Token"),
        (lambda _: "\u00ff", "no JSON Web Token"),
    ],
)
async def test_a_token_that_proves_nothing_is_refused_with_the_reason(
    gateway: Gateway, issuer: Issuer, make: Callable[[Issuer], str], why: str
) -> None:
    answer = await send(gateway, b"Bearer " + make(issuer).encode("latin-1"))
    problem = assert_problem(answer, 401, "unauthenticated")
    assert why in problem["detail"]
    assert answer.headers["WWW-Authenticate"].startswith('Bearer error="invalid_token"')


def test_nobody_can_pass_for_those_who_act_by_themselves() -> None:
    assert {webhooks.ACTOR, fulfilment.NAME} == OURS


def swapped(signed: str, wanted: str) -> str:
    """One token's signature under another's claims."""
    return ".".join([*wanted.split(".")[:2], signed.split(".")[2]])


@pytest.mark.parametrize(
    "said",
    [
        {"role": "customer"},
        {"roles": ["customer"]},
        {"roles": "shopper customer"},
        {"roles": "shopper,customer"},
        {"roles": ["shopper"], "role": "customer"},
        {"roles": [], "role": ["customer"]},
        {"roles": "CUSTOMER"},
    ],
    ids=str,
)
async def test_however_a_token_says_that_it_is_a_customers_it_is_never_taken_for_staffs(
    gateway: Gateway, issuer: Issuer, said: Json
) -> None:
    token = issuer.token(scope="orders:read", sub="ann", **said)
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        headers = {"Authorization": f"Bearer {token}"}
        answer = await client.get("/v1/orders?customer_id=bob", headers=headers)
    assert_problem(answer, 403, "not-yours")


@pytest.mark.parametrize("header", [None, "", "Bearer", "Basic YTpi", "Token abc"])
async def test_without_a_bearer_token_there_is_nothing(gateway: Gateway, header: str | None) -> None:
    answer = await send(gateway, header)
    assert_problem(answer, 401, "unauthenticated")
    assert answer.headers["WWW-Authenticate"] == "Bearer"


async def test_a_missing_scope_is_named(gateway: Gateway, issuer: Issuer) -> None:
    answer = await send(gateway, f"Bearer {issuer.token(scope='orders:write ordersread')}")
    assert "orders:read" in assert_problem(answer, 403, "missing-scope")["detail"]
    assert 'scope="orders:read"' in answer.headers["WWW-Authenticate"]


def test_customers_tokens_are_for_the_routes_that_are_open_to_customers() -> None:
    open_to_customers = {
        handler.opt["contract"].access
        for route in make_litestar(make_services(Settings())).routes
        if isinstance(route, HTTPRoute)
        for handler in route.route_handlers
        if "contract" in handler.opt and handler.opt["contract"].customers is not Customers.NONE
    }
    assert open_to_customers == CUSTOMERS_SCOPES
    assert CUSTOMERS_SCOPES.isdisjoint(NEVER_CUSTOMERS)


def every_route() -> list[tuple[str, str, Access]]:
    """Method, path and what each route says it wants."""
    app = make_litestar(make_services(Settings()))
    found = []
    for route in app.routes:
        assert isinstance(route, HTTPRoute)
        for handler in route.route_handlers:
            for method in handler.http_methods - {"OPTIONS"}:
                access = declared(handler)
                assert access is not None
                found.append((str(method), re.sub(r"{.*?}", "x", route.path), access))
    return found


async def test_every_route_but_health_metrics_and_docs_is_closed(gateway: Gateway, issuer: Issuer) -> None:
    seen = set()
    async with httpx.AsyncClient(base_url=gateway.url, verify=False, timeout=HOLDS_SECONDS) as client:
        for method, path, access in every_route():
            answer = await client.request(method, path)
            if path in OPEN:
                assert access is Access.OPEN
                assert answer.status_code in {200, 503}
                seen.add(path)
            elif access is Access.SIGNED:
                assert_problem(answer, 401, "signature-invalid")
            else:
                assert_problem(answer, 401, "unauthenticated")
                token = issuer.token(scope=" ".join(set(Access) - {access}))
                headers = {"Authorization": f"Bearer {token}"}
                assert_problem(await client.request(method, path, headers=headers), 403, "missing-scope")
    assert seen == OPEN


def test_a_route_that_does_not_say_who_may_use_it_keeps_the_gateway_from_starting() -> None:
    @get("/v1/secrets", sync_to_thread=False)
    def secrets() -> str:
        return "42"

    with pytest.raises(AccessUndeclared, match="/v1/secrets"):
        refuse_undeclared(Litestar([secrets], openapi_config=None).routes)
