"""The wire between a process and MongoDB: what is asked on it, and when it is cut or the process killed."""

from __future__ import annotations

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import bson

HEADER = struct.Struct("<iiii")
COMMAND = 2013
"""The wire's one kind of message since MongoDB 3.6, OP_MSG."""
UNHEARD = frozenset({"hello", "isMaster", "ismaster", "ping"})


@dataclass(frozen=True)
class Moment:
    """The `nth` request of a command: before the server receives it, or before its answer arrives."""

    command: str
    """With its collection, as `update stock`."""
    nth: int = 1
    answered: bool = False

    def __str__(self) -> str:
        return f"{'after' if self.answered else 'before'} {self.command} {self.nth}"


@dataclass
class Wire:
    """A wire on which nothing moves any more once the moment has come."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    """Commands, in the order in which the server was asked."""
    come: asyncio.Event = field(default_factory=asyncio.Event)
    """The moment has come."""
    _moment: Moment | None = None
    _then: Callable[[], None] = lambda: None

    def end_at(self, moment: Moment, then: Callable[[], None] = lambda: None) -> None:
        """Lead nowhere from this moment on; what happens to the process then."""
        self._moment = moment
        self._then = then

    def ask(self, command: str) -> bool:
        """Note a command; whether it may be asked."""
        if command.split(" ", maxsplit=1)[0] not in UNHEARD:
            self.asked.append(command)
        return self._goes_on(command, answered=False)

    def answer(self, command: str) -> bool:
        """Whether the answer may be heard."""
        return self._goes_on(command, answered=True)

    def _goes_on(self, command: str, *, answered: bool) -> bool:
        if self.come.is_set():
            return False
        if self._moment == Moment(command, self.asked.count(command), answered):
            self._then()
            self.come.set()
            return False
        return True


@asynccontextmanager
async def tapped(server_url: str) -> AsyncIterator[Wire]:
    """A wire to a server, for the clients of one process."""
    wire = Wire()
    host, port = urlsplit(server_url).hostname, urlsplit(server_url).port
    open_wires: set[asyncio.StreamWriter] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        open_wires.add(writer)
        there_reader, there_writer = await asyncio.open_connection(host, port)
        try:
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                while wire.ask(command := _command(message := await _message(reader))):
                    there_writer.write(message)
                    answer = await _message(there_reader)
                    if not wire.answer(command):
                        return
                    writer.write(answer)
        finally:
            for each in (writer, there_writer):
                each.close()
            open_wires.discard(writer)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    wire.url = f"mongodb://127.0.0.1:{server.sockets[0].getsockname()[1]}/?directConnection=true"
    try:
        yield wire
    finally:
        server.close()
        for writer in list(open_wires):
            writer.close()


async def _message(reader: asyncio.StreamReader) -> bytes:
    header = await reader.readexactly(HEADER.size)
    length: int = HEADER.unpack(header)[0]
    return header + await reader.readexactly(length - HEADER.size)


def _command(message: bytes) -> str:
    """A command's name and collection; drivers send the section they are in first."""
    if HEADER.unpack_from(message)[3] != COMMAND or message[HEADER.size + 4] != 0:
        return "hello"
    begin = HEADER.size + 5
    size: int = struct.unpack_from("<i", message, begin)[0]
    name, value = next(iter(bson.decode(message[begin : begin + size]).items()))
    return f"{name} {value}" if isinstance(value, str) else str(name)
