"""Roles in bearer tokens: a known role makes a token staff's or a customer's; without one it is refused."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

import msgspec

from infra.settings import Settings, SettingsInvalid

MOST_TOLD = 10
"""Role names that a refusal quotes."""
LONGEST_TOLD = 64
EVERY = "*"
EMBEDDED_ISSUER = "orderfold-embedded"
"""`orderfold token` names the role in `role`."""


class Role(StrEnum):
    """Whose a token is."""

    STAFF = "staff"
    CUSTOMER = "customer"


class RolesUnreadable(Exception):
    """A claim that should hold roles holds something else; the message names the claim."""


class RoleUnknown(Exception):
    """No role in the token is one that the settings know; the message says what was found."""


class RoleNames(msgspec.Struct, frozen=True):
    """Where roles are looked for, and which names mean what.

    `claims` are paths of members' names between dots, `*` for every member. `elsewhere` are claims that can
    make a token a customer's, and not staff's.
    """

    claims: tuple[str, ...]
    elsewhere: tuple[str, ...]
    staff: frozenset[str]
    customer: frozenset[str]
    namespaced: bool
    """Whether claims such as `https://shop.example/roles` are read, too, whatever their host is."""

    def role(self, claims: Mapping[str, Any]) -> Role:
        """The token's role; raises RolesUnreadable or RoleUnknown.

        A token that names a customer role anywhere is a customer's, whatever else it names.
        """
        paths = [*self.claims, *(name for name in claims if self.namespaced and _is_namespaced(name))]
        named = {path: _names(claims, path) for path in (*paths, *self.elsewhere)}
        found = {name for names in named.values() for name in names}
        words = {word for name in found for word in (name, *name.split())}
        if not self.customer.isdisjoint(map(_plain, words)):
            return Role.CUSTOMER
        if any(_plain(name) in self.staff for path in paths for name in named[path]):
            return Role.STAFF
        raise RoleUnknown(self._unknown(sorted(found)))

    def _unknown(self, found: list[str]) -> str:
        said = ", ".join(repr(name[:LONGEST_TOLD]) for name in found[:MOST_TOLD])
        more = f" and {len(found) - MOST_TOLD} more" if len(found) > MOST_TOLD else ""
        what = f"the roles {said}{more}" if found else "no role"
        return (
            f"the token has {what}; staff's have {_either(self.staff)}, customers' {_either(self.customer)}, "
            f"in {_either(self.claims)}"
        )


def role_names(settings: Settings) -> RoleNames:
    """What the settings say; raises SettingsInvalid."""
    claims = tuple(_listed(settings.roles_claim)) or _usual(settings.jwt_audience)
    if settings.jwt_issuer == EMBEDDED_ISSUER:
        claims = tuple(dict.fromkeys((*claims, "role")))
    names = RoleNames(
        claims=claims,
        elsewhere=() if settings.roles_claim else ("resource_access.*.roles",),
        staff=frozenset(map(_plain, _listed(settings.staff_roles))),
        customer=frozenset(map(_plain, _listed(settings.customer_roles))),
        namespaced=not settings.roles_claim,
    )
    both = sorted(names.staff & names.customer)
    if both:
        raise SettingsInvalid(
            f"the role {both[0]!r} is in ORDERFOLD_STAFF_ROLES and ORDERFOLD_CUSTOMER_ROLES: keep it in one"
        )
    return names


def minted_role(settings: Settings, role: Role) -> str:
    """What a token of our own names its role; raises SettingsInvalid."""
    names = _listed(settings.staff_roles if role is Role.STAFF else settings.customer_roles)
    if not names:
        raise SettingsInvalid(f"ORDERFOLD_{role.upper()}_ROLES names no role")
    return names[0]


def _usual(audience: str) -> tuple[str, ...]:
    """Where identity providers put roles; of the roles of clients those of `audience` count."""
    return (
        "roles",
        "role",
        "groups",
        "cognito:groups",
        "realm_access.roles",
        f"resource_access.{audience}.roles",
    )


def _is_namespaced(name: str) -> bool:
    return "://" in name and name.rpartition("/")[2] in {"roles", "role", "groups"}


def _listed(setting: str) -> list[str]:
    return [name for name in (each.strip() for each in setting.split(",")) if name]


def _plain(name: str) -> str:
    """A role's name without what is put before it: `ROLE_STAFF` (Spring), `/staff` (a group in Keycloak)."""
    return name.strip().casefold().removeprefix("/").removeprefix("role_")


def _either(names: Iterable[str]) -> str:
    return " or ".join(names if isinstance(names, tuple) else sorted(names)) or "none"


def _names(claims: Mapping[str, Any], path: str) -> list[str]:
    """The role names a claim holds: text with commas between them, or a list."""
    found: list[str] = []
    for value in _values(claims, path):
        names = value.split(",") if isinstance(value, str) else value
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise RolesUnreadable(f"the token's roles in {path} are neither text nor a list of it")
        found += [name.strip() for name in names if name.strip()]
    return found


def _values(claims: Mapping[str, Any], path: str) -> list[Any]:
    """What is found at a path. Members' names may have dots themselves: the longest that is there counts."""
    parts = path.split(".")
    for length in range(len(parts), 0, -1):
        name, rest = ".".join(parts[:length]), ".".join(parts[length:])
        members = list(claims.values()) if name == EVERY else [claims.get(name)]
        members = [member for member in members if member is not None]
        if not members or not rest:
            found = members
        else:
            found = [value for member in members for value in _values(_mapping(member, name), rest)]
        if found:
            return found
    return []


def _mapping(member: Any, name: str) -> Mapping[str, Any]:
    if not isinstance(member, Mapping):
        raise RolesUnreadable(f"the token's {name} is no object")
    return member
