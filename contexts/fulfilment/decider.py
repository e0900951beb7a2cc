"""What an operator may do with an order that is stuck."""

from __future__ import annotations

from contexts.fulfilment.commands import AbandonFulfilment, FulfilmentCommand, RetryFulfilment
from contexts.fulfilment.events import FulfilmentAbandoned, FulfilmentRetried, Stage
from contexts.fulfilment.knowledge import Saga
from contexts.messages import Rejected, Unknown


def decide(saga: Saga, command: FulfilmentCommand) -> tuple[FulfilmentRetried | FulfilmentAbandoned, ...]:
    """Answer an operator's command with the facts it causes; none if nothing changes."""
    match command, saga.stage:
        case _, None:
            raise Unknown(f"there is no fulfilment of order {command.order_id}")
        case RetryFulfilment(), _ if saga.failures:
            failed = tuple(failure.command_id for failure in saga.failures)
            return (FulfilmentRetried(order_id=command.order_id, command_ids=failed),)
        case RetryFulfilment(), _:
            raise Rejected("nothing of this order has failed")
        case AbandonFulfilment(), Stage.ABANDONED:
            return ()
        case AbandonFulfilment(), Stage.COMPLETED | Stage.CANCELLED as ended if not saga.failures:
            raise Rejected(f"cannot abandon a fulfilment that is {ended}")
        case AbandonFulfilment(), Stage.COMPLETED | Stage.CANCELLED as ended:
            return (FulfilmentAbandoned(order_id=command.order_id, reason=command.reason, stage=ended),)
        case AbandonFulfilment(), _:
            return (FulfilmentAbandoned(order_id=command.order_id, reason=command.reason),)
