"""What operators ask about one order, and the failures that make them ask."""

from __future__ import annotations

from typing import Any

from contexts.fulfilment.commands import AbandonFulfilment, ResumeFulfilment, SettleFulfilment
from contexts.fulfilment.events import CommandFailed
from tests.contexts.fulfilment.messages import ORDER

abandon = AbandonFulfilment(order_id=ORDER, reason="settled by telephone")
resume = ResumeFulfilment(order_id=ORDER, reason="the provider is back")


def settle(**wanted: Any) -> SettleFulfilment:
    return SettleFulfilment(order_id=ORDER, reason="agreed with the customer", **wanted)


def failed(
    command: str, command_id: str = "fulfilment-42:3:1", return_id: str | None = None
) -> CommandFailed:
    return CommandFailed(
        order_id=ORDER, command_id=command_id, command=command, reason="no answer", return_id=return_id
    )
