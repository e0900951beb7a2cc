"""The configuration lets each user do what its code does, and nothing else."""

from __future__ import annotations

import pytest

from infra.deploy.nats_keys import CONFIGURATION, users
from tests.infra.nats.rights import commands, configured, needed, sent_by_gateway


def differences(user: str) -> list[str]:
    """What to change in the configuration, line by line."""
    has, needs = configured()[user], needed()[user]
    found = []
    for kind in ("subscribe", "publish", "deny"):
        had, wanted = getattr(has, kind), getattr(needs, kind)
        found += [f'{user}, {kind}: add    "{subject}"' for subject in sorted(wanted - had)]
        found += [f'{user}, {kind}: remove "{subject}"' for subject in sorted(had - wanted)]
    if has.answers != needs.answers:
        found.append(f"{user}: allow_responses: {str(needs.answers).lower()}")
    return found


def test_every_process_has_a_user() -> None:
    assert set(users()) == set(configured()) == set(needed())


@pytest.mark.parametrize("user", users())
def test_a_user_may_do_what_its_code_does_and_nothing_else(user: str) -> None:
    """A new context, command, route or step appears here, with the lines it takes."""
    found = differences(user)
    assert not found, "\n".join([f"in {CONFIGURATION.name}:", *found])


def test_every_command_is_sent_by_somebody() -> None:
    """A command nobody may send cannot be tested by the table."""
    sent = {subject for rights in configured().values() for subject in rights.publish}
    assert {f"cmd.{name}" for name in commands()} <= sent
    assert sent_by_gateway() >= {"ordering.PlaceOrder", "payments.CheckPayment"}
