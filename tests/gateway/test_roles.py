"""Whose a token is by its roles: staff's or a customer's if a known role says so, and otherwise nobody's."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from gateway.auth.roles import Role, RolesUnreadable, RoleUnknown, role_names
from gateway.cli.connection import mint
from infra.security.development_issuer import SigningKeys
from infra.settings import SettingsInvalid, load_settings
from tests.gateway.conftest import Gateway
from tests.gateway.issuer import Issuer
from tests.gateway.problems import assert_problem


def role(claims: dict[str, Any], **settings: str) -> Role:
    """The role of a token with these claims; settings are named without ORDERFOLD_."""
    return role_names(load_settings({f"ORDERFOLD_{name}": value for name, value in settings.items()})).role(
        claims
    )


FORMS = [
    lambda name: {"role": name},
    lambda name: {"role": [name]},
    lambda name: {"roles": [name]},
    lambda name: {"roles": name},
    lambda name: {"roles": f"offline_access, {name}"},
    lambda name: {"roles": ["offline_access", name.upper()]},
    lambda name: {"roles": [f"ROLE_{name.upper()}"]},
    lambda name: {"groups": [f"/{name}"]},
    lambda name: {"cognito:groups": [name]},
    lambda name: {"realm_access": {"roles": ["uma_authorization", name]}},
    lambda name: {"realm_access": {"roles": [f"ROLE_{name.upper()}"]}, "roles": None},
    lambda name: {"resource_access": {"account": {"roles": ["view"]}, "orderfold": {"roles": [name]}}},
    lambda name: {"https://shop.example/roles": [name]},
    lambda name: {"https://shop.example/claims/roles": name},
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("expected", list(Role))
def test_the_forms_identity_providers_use_are_understood(form: Any, expected: Role) -> None:
    assert role({"sub": "ann", **form(expected.value)}) is expected


@pytest.mark.parametrize(
    ("claims", "told"),
    [
        ({}, "no role"),
        ({"scope": "orders:read operate"}, "no role"),
        ({"roles": []}, "no role"),
        ({"roles": ""}, "no role"),
        ({"roles": ["shopper"]}, "'shopper'"),
        ({"role": "admin"}, "'admin'"),
        ({"role": "Head of staff"}, "'Head of staff'"),
        ({"roles": ["not-staff", "staff2", "ROLE_ROLE_STAFF"]}, "'not-staff'"),
        ({"realm_access": {"roles": ["default-roles-shop"]}}, "'default-roles-shop'"),
        ({"resource_access": {"another": {"roles": ["staff"]}}}, "'staff'"),
        ({"Roles": ["staff"], "https://shop.example/rolesX": ["staff"]}, "no role"),
        ({"user": {"roles": ["staff"]}}, "no role"),
        ({"groups": [f"g{number}" for number in range(30)]}, "and 20 more"),
    ],
    ids=str,
)
def test_a_token_without_a_known_role_is_nobodys(claims: dict[str, Any], told: str) -> None:
    with pytest.raises(RoleUnknown) as refused:
        role(claims)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    "claims",
    [
        {"role": "staff", "roles": ["customer"]},
        {"roles": ["staff", "ROLE_CUSTOMER"]},
        {"roles": "staff customer"},
        {"role": "staff", "realm_access": {"roles": ["customer"]}},
        {"role": "staff", "groups": "/customer"},
        {"role": "staff", "resource_access": {"another": {"roles": ["customer"]}}},
        {"role": "staff", "https://shop.example/roles": ["Customer"]},
    ],
    ids=str,
)
def test_a_token_of_both_is_a_customers(claims: dict[str, Any]) -> None:
    assert role(claims) is Role.CUSTOMER


@pytest.mark.parametrize(
    "claims",
    [
        {"roles": 7},
        {"role": True},
        {"roles": {"staff": True}},
        {"roles": [["staff"]]},
        {"groups": [{"name": "staff"}]},
        {"role": "staff", "realm_access": "customer"},
        {"role": "staff", "realm_access": {"roles": {"customer": 1}}},
        {"role": "staff", "resource_access": ["customer"]},
        {"role": "staff", "https://shop.example/roles": {"a": "customer"}},
    ],
    ids=str,
)
def test_roles_in_a_form_that_cannot_be_read_are_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(RolesUnreadable):
        role(claims)


def test_settings_say_which_claims_and_which_names_count() -> None:
    settings = {
        "ROLES_CLAIM": "https://shop.example/claims.access, app.roles",
        "STAFF_ROLES": "Warehouse, back office",
        "CUSTOMER_ROLES": "buyer",
    }
    assert role({"app": {"roles": ["warehouse"]}}, **settings) is Role.STAFF
    assert role({"https://shop.example/claims": {"access": "Back Office"}}, **settings) is Role.STAFF
    assert (
        role({"https://shop.example/claims.access": ["ROLE_BUYER", "warehouse"]}, **settings) is Role.CUSTOMER
    )
    for claims in ({"app": {"roles": ["staff"]}}, {"roles": ["warehouse"]}, {"groups": ["warehouse"]}):
        with pytest.raises(RoleUnknown, match=r"back office or warehouse, customers' buyer, in https://"):
            role(claims, **settings)


def test_an_audience_with_dots_is_a_clients_name() -> None:
    claims = {"resource_access": {"https://api.shop.example": {"roles": ["staff"]}}}
    assert role(claims, JWT_AUDIENCE="https://api.shop.example") is Role.STAFF


@pytest.mark.parametrize("meant", list(Role))
def test_a_token_of_the_embedded_issuer_names_the_role_as_it_is_set(tmp_path: Path, meant: Role) -> None:
    settings = load_settings(
        {
            "ORDERFOLD_DATA": str(tmp_path),
            "ORDERFOLD_ROLES_CLAIM": "app.roles",
            "ORDERFOLD_STAFF_ROLES": "Warehouse",
            "ORDERFOLD_CUSTOMER_ROLES": "buyer",
        }
    )
    SigningKeys.ensure(tmp_path / "keys")
    token = mint(settings, [], "ann", timedelta(minutes=1), meant)
    assert role_names(settings).role(jwt.decode(token, options={"verify_signature": False})) is meant


def test_a_role_cannot_be_staffs_and_customers() -> None:
    with pytest.raises(SettingsInvalid, match="'buyer' is in ORDERFOLD_STAFF_ROLES and ORDERFOLD_"):
        role({}, STAFF_ROLES="staff,Buyer", CUSTOMER_ROLES="ROLE_BUYER")


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ({"role": None}, "no role"),
        ({"role": "ROLE_SHOPPER"}, "'ROLE_SHOPPER'"),
        ({"role": None, "realm_access": {"roles": ["shopper"]}}, "'shopper'"),
        ({"role": None, "groups": ["Everyone"]}, "'Everyone'"),
    ],
    ids=str,
)
async def test_the_gateway_refuses_who_has_no_known_role_and_says_what_was_found(
    gateway: Gateway, issuer: Issuer, said: dict[str, Any], told: str
) -> None:
    token = issuer.token(scope="orders:read orders:write operate", **said)
    async with httpx.AsyncClient(base_url=gateway.url, verify=False) as client:
        for path in ("/v1/orders?customer_id=bob", "/v1/products", "/v1/fulfilments"):
            answer = await client.get(path, headers={"Authorization": f"Bearer {token}"})
            assert told in assert_problem(answer, 403, "unknown-role")["detail"]


async def test_a_customer_of_keycloak_reaches_nobody_elses_orders(gateway: Gateway, issuer: Issuer) -> None:
    token = issuer.token(
        scope="orders:read", sub="ann", role=None, realm_access={"roles": ["offline_access", "ROLE_CUSTOMER"]}
    )
    async with httpx.AsyncClient(base_url=gateway.url, verify=False) as client:
        answer = await client.get("/v1/orders?customer_id=bob", headers={"Authorization": f"Bearer {token}"})
    assert_problem(answer, 403, "not-yours")
