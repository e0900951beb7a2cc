"""The permissions as a part of nats-server.conf, between two lines that say so.

They are in the file itself, not in one that it includes: an included file would be one more to mount wherever
nats-server runs, and does not see the public keys that nats-server.conf includes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from infra.deploy.nats.permissions import Subjects, User
from infra.deploy.nats_keys import variable

COMMAND = "python -m infra.deploy.nats"
BEGIN = f"# From here on written by `{COMMAND}`; do not edit."
END = "# Up to here."


class MarkersMissing(Exception):
    """The configuration has no place for the permissions; the message says what is missing."""


def with_permissions(text: str, users: Iterable[User], name: str) -> str:
    """The configuration's text with these users in their place; all else stays. Raises MarkersMissing."""
    lines = text.splitlines()
    places = [[at for at, line in enumerate(lines) if line.strip() == mark] for mark in (BEGIN, END)]
    if [len(found) for found in places] != [1, 1] or places[0] > places[1]:
        raise MarkersMissing(f"{name} needs the lines {BEGIN!r} and, after it, {END!r}, once each")
    ((begin,), (end,)) = places
    margin = lines[begin][: lines[begin].index("#")]
    written = [f"{margin}{line}" if line else "" for line in users_block(users)]
    return "\n".join([*lines[: begin + 1], *written, *lines[end:]]) + "\n"


def users_block(users: Iterable[User]) -> list[str]:
    """The users, in nats-server's configuration language."""
    return ["users: [", *(f"  {line}" if line else "" for line in _separated(map(_user, users))), "]"]


def update(configuration: Path, users: Iterable[User]) -> bool:
    """Write the permissions into the file; whether that changed anything. Raises MarkersMissing, OSError."""
    before = configuration.read_text()
    after = with_permissions(before, users, configuration.name)
    if after != before:
        configuration.write_text(after)
    return after != before


def _separated(blocks: Iterable[Sequence[str]]) -> Iterator[str]:
    for number, block in enumerate(blocks):
        if number:
            yield ""
        yield from block


def _user(user: User) -> list[str]:
    return [
        f"# {user.name}: {user.why}",
        "{",
        f"  nkey: ${variable(user.name)}",
        "  permissions: {",
        "    subscribe: { allow: [",
        *(f'      "{subject}"' for subject in user.subscribe),
        "    ] }",
        "    publish: {",
        *_subjects("allow", user.publish),
        *(_subjects("deny", user.deny) if user.deny else ()),
        "    }",
        *(["    allow_responses: true"] if user.answers else []),
        "  }",
        "}",
    ]


def _subjects(what: str, groups: Subjects) -> Iterator[str]:
    yield f"      {what}: ["
    for purpose, subjects in groups.items():
        if subjects:
            yield f"        # {purpose}"
            yield from (f'        "{subject}"' for subject in subjects)
    yield "      ]"
