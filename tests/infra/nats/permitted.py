"""What the code has, to ask a real server about: every context and every command."""

from __future__ import annotations

import functools
import typing

from contexts.messages import Command, wire_name
from infra.deploy.nats.permissions import load_contexts
from infra.runtime.context import Context


@functools.cache
def contexts() -> dict[str, Context]:
    """Every context by its name."""
    return {context.name: context for context in load_contexts()}


@functools.cache
def commands() -> dict[str, type[Command]]:
    """Every command there is, by its wire name."""
    return {
        wire_name(kind): kind
        for context in contexts().values()
        for kind in typing.get_args(context.commands) or (context.commands,)
    }
