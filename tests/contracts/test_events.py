"""Every event ever published can still be read: one golden file each, never changed, only added to."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import msgspec
import pytest

from contexts import NAMES
from contexts.fulfilment.steps import RULES
from contexts.messages import wire_name
from infra.messages.codec import EventCodec

CODECS = {
    name: EventCodec(getattr(importlib.import_module(f"contexts.{name}.events"), f"{name.capitalize()}Event"))
    for name in NAMES
}

FILES = sorted((Path(__file__).parent / "events").glob("*.json"))
"""`<context>.<Event>.v<version>[.<case>].json`, as it was stored and published."""


def name_of(file: Path) -> str:
    context, event, *_ = file.name.split(".")
    return f"{context}.{event}"


def read(file: Path) -> Any:
    name = name_of(file)
    return CODECS[name.partition(".")[0]].decode(name, file.read_bytes())


def test_every_event_has_a_golden_file() -> None:
    """A new event comes with the file that will hold its form for ever."""
    golden = {name_of(file) for file in FILES}
    assert {name for codec in CODECS.values() for name in codec.names} - golden == set()


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_published_event_is_still_read_as_what_it_was(file: Path) -> None:
    """It is of the type its name says, and nothing of it is lost: written again it says the same."""
    event = read(file)
    assert wire_name(type(event)) == name_of(file)
    assert_holds(msgspec.json.decode(msgspec.json.encode(event)), msgspec.json.decode(file.read_bytes()))


def assert_holds(now: Any, then: Any) -> None:
    """What was said then is said now; fields added since may stand beside it."""
    if isinstance(then, dict):
        assert isinstance(now, dict)
        for key, value in then.items():
            assert key in now, key
            assert_holds(now[key], value)
    elif isinstance(then, list):
        assert isinstance(now, list)
        assert len(now) == len(then)
        for one, other in zip(now, then, strict=True):
            assert_holds(one, other)
    else:
        assert now == then


def test_every_command_the_saga_sends_is_in_a_golden_file() -> None:
    """Commands are stored too, inside the saga's events: their form is as binding as an event's."""
    events = [read(file) for file in FILES if name_of(file).startswith("fulfilment.")]
    sent = {type(command) for event in events for command in getattr(event, "commands", ())}
    assert set(RULES) - sent == set()


def test_a_field_of_a_newer_writer_is_ignored() -> None:
    """An older reader survives a newer writer."""
    for file in FILES:
        newer = {**msgspec.json.decode(file.read_bytes()), "added_later": {"x": 1}}
        name = name_of(file)
        assert CODECS[name.partition(".")[0]].decode(name, msgspec.json.encode(newer)) == read(file)
