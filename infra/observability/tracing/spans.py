"""A span as those see it who begin one: recorded, not sampled, or none at all because tracing is off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextvars import ContextVar, Token
from enum import Enum, auto
from types import TracebackType
from typing import Protocol, Self

Value = str | int | float | bool | Sequence[str]
Attributes = Mapping[str, Value]

TRACEPARENT = "traceparent"

SAMPLED = frozenset("13579bdf")
"""The last digit of a traceparent's flags, when its trace is recorded."""


class Kind(Enum):
    """What a span is to the one it belongs to; OpenTelemetry's names."""

    INTERNAL = auto()
    SERVER = auto()
    CLIENT = auto()
    PRODUCER = auto()
    CONSUMER = auto()


class Span:
    """A piece of work within a trace. This one is within none: whatever is done to it does nothing."""

    __slots__ = ()

    traceparent: str = ""
    """What others continue this trace by."""
    recorded: bool = False

    @property
    def trace_id(self) -> str:
        """32 hexadecimal digits; empty if there is no trace."""
        return self.traceparent[3:35]

    def note(self, name: str, value: Value) -> None:
        """Add an attribute."""

    def name(self, name: str) -> None:
        """Call it otherwise: what a request is about is known only once it was routed."""

    def link(self, other: Span) -> None:
        """Point to a span of another trace."""

    def fail(self, kind: str) -> None:
        """It did not succeed. `kind` is a class of errors: messages may name persons."""

    def carry(self, headers: dict[str, str]) -> dict[str, str]:
        """The same headers, with this span's traceparent if it has one."""
        return headers

    def end(self) -> None:
        """The work is done."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing began."""


OFF = Span()

_current: ContextVar[Span] = ContextVar("span", default=OFF)


def current_span() -> Span:
    """The span whose work this task does at the moment."""
    return _current.get()


def current_trace_id() -> str:
    """The trace this task works for at the moment, sampled or not; empty if none. For log records."""
    return _current.get().traceparent[3:35]


class Traced(Span):
    """A span within a trace: what is done inside it belongs to it."""

    __slots__ = ("_token", "traceparent")

    def __init__(self, traceparent: str) -> None:
        self.traceparent = traceparent
        self._token: Token[Span] | None = None

    def carry(self, headers: dict[str, str]) -> dict[str, str]:
        headers[TRACEPARENT] = self.traceparent
        return headers

    def __enter__(self) -> Self:
        self._token = _current.set(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._token is not None
        _current.reset(self._token)
        if kind is not None:
            self.fail(kind.__name__)
        self.end()


class Unsampled(Traced):
    """A span of a trace that is not recorded: it passes on what it was given, and that costs nothing."""

    __slots__ = ()


class Tracer(Protocol):
    """Makes spans; one for each process in which tracing is on."""

    def begin(
        self,
        name: str,
        kind: Kind,
        parent: str,
        attributes: Attributes,
        links: Sequence[str] = (),
        *,
        tracestate: str = "",
    ) -> Traced:
        """Begin a span; a new trace if `parent` is empty. `tracestate` is the parent's.

        A new trace is sampled by chance, and always if it has links: what it links to is.
        """

    def stop(self) -> None:
        """Send what waits to be sent, within a limit of time."""


class Switch:
    """Whether this process traces."""

    __slots__ = ("tracer",)

    def __init__(self) -> None:
        self.tracer: Tracer | None = None


SWITCH = Switch()


def is_sampled(traceparent: str) -> bool:
    """Whether the trace this belongs to is recorded."""
    return len(traceparent) == 55 and traceparent[54] in SAMPLED


def unrecorded(parent: str) -> Span:
    """What continues a trace that is not sampled, or none."""
    return Unsampled(parent) if parent else OFF


def together(tracer: Tracer, name: str, kind: Kind, parts: Sequence[Span], attributes: Attributes) -> Span:
    """The one piece of work that several recorded ones came together in.

    With one part it belongs to that part. With several it is a trace of its own and linked with each of them,
    both ways: no part's trace swallows those of the others.
    """
    if len(parts) == 1:
        return tracer.begin(name, kind, parts[0].traceparent, attributes)
    span = tracer.begin(name, kind, "", attributes, [part.traceparent for part in parts])
    for part in parts:
        part.link(span)
    return span
