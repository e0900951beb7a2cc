"""Readiness: the checks of what a process needs, their evaluation, and the answer as others read it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import msgspec

Probe = Callable[[], Awaitable[None]]
"""Returns if something that is needed is there; raises what is wrong with it."""


class Life(msgspec.Struct, frozen=True):
    """The process answers."""

    live: bool = True


class Check(msgspec.Struct, frozen=True):
    """One thing that is needed; `problem` says what is wrong with it."""

    ok: bool
    problem: str | None = None


class Readiness(msgspec.Struct, frozen=True):
    """Whether a process can do its work, and what is missing if not."""

    ready: bool
    checks: dict[str, Check]


async def evaluate(probes: Mapping[str, Probe], seconds: float) -> dict[str, Check]:
    """Run the probes at the same time; each may take so long."""
    found = await asyncio.gather(*(_check(probe, seconds) for probe in probes.values()))
    return dict(zip(probes, found, strict=True))


def passed(checks: Mapping[str, Check]) -> bool:
    """Whether nothing that is needed is missing."""
    return all(check.ok for check in checks.values())


def not_ready(body: bytes) -> list[str]:
    """The names of what a readiness answer says is not ready."""
    return [name for name, check in _checks(body).items() if not check.ok]


def troubles(body: bytes) -> list[str]:
    """What a readiness answer says is wrong, in words, also where it does not keep anybody from working."""
    return [
        f"{name}: {check.problem}" if check.problem else name
        for name, check in _checks(body).items()
        if check.problem or not check.ok
    ]


async def _check(probe: Probe, seconds: float) -> Check:
    try:
        async with asyncio.timeout(seconds):
            await probe()
    except TimeoutError:
        return Check(ok=False, problem=f"no answer within {seconds:g} s")
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the answer
        return Check(ok=False, problem=str(error) or type(error).__name__)
    return Check(ok=True)


def _checks(body: bytes) -> dict[str, Check]:
    try:
        return msgspec.json.decode(body, type=Readiness).checks
    except msgspec.DecodeError:
        return {}
