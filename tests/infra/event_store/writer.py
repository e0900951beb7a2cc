"""A process that says `ready`, waits for a line, appends, and prints every command it saw committed."""

from __future__ import annotations

import asyncio
import itertools
import sys

from infra.event_store.store import EventStore
from infra.messages.events import Append
from tests.infra.event_store.messages import command, note, part

TASKS = 16


def both(command_id: str) -> tuple[str, str]:
    """The two streams a command writes to."""
    return f"order-{command_id}", f"payment-{command_id}"


async def main(url: str, name: str, count: int) -> None:
    """Append `count` times, each time to two new streams and to one that all processes share."""
    store = await EventStore.open("ordering", url)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await asyncio.to_thread(sys.stdin.readline)
    numbers = iter(range(count))

    async def task(number: int) -> None:
        for step in itertools.count():
            if next(numbers, None) is None:
                return
            command_id = f"{name}{number}x{step}"
            order, payment = both(command_id)
            await store.append(
                Append(
                    streams=(part(order, 0, "OrderPlaced", "OrderConfirmed"), part(payment, 0, "Authorized")),
                    command=command(command_id),
                    notes=(note(command_id, b"1"),),
                )
            )
            sys.stdout.write(command_id + "\n")
            sys.stdout.flush()

    await asyncio.gather(*[task(number) for number in range(TASKS)])
    await store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3])))
