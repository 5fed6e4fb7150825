"""The node's door for commands on the same machine: `qnx send`, `recv`, `stream`, `tunnel`.

It listens on loopback; who may read `door.json` in the node's folder (its owner alone) may use it.
A caller sends one JSON line, gets one JSON line back, and then, by what was asked, bytes.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import struct
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Protocol, TypeAlias, TypeVar

import msgspec

from qnx_hw.edge.parcels import Parcel, PostOffice
from qnx_hw.edge.sealed_file import write_private
from qnx_hw.edge.session import USER_LEFT, Session
from qnx_hw.edge.streams import StreamSink, StreamSource
from qnx_hw.edge.user import User, user_pair
from qnx_hw.errors import ChannelError, QnxError

DOOR = "door.json"
MAX_LINE_BYTES = 1 << 20
REQUEST_DEADLINE_S = 10.0
PIECE_BYTES = 256 << 10
PIECE = struct.Struct(">I")
"""The length before each piece that comes out of a tunnel; 0 before the last reply."""

log = logging.getLogger(__name__)

Start: TypeAlias = Callable[[Coroutine[Any, Any, None]], None]
_Kind = TypeVar("_Kind", StreamSource, StreamSink)
_BROKEN = (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, ValueError)


class Key(msgspec.Struct, frozen=True):
    """The content of `door.json`."""

    port: int
    token: str


class Ask(msgspec.Struct, frozen=True, kw_only=True):
    """What a command wants."""

    token: str
    what: str
    """`send`, `list`, `take`, `feed`, `read` or `tunnel`."""
    name: str = ""
    """Of the parcel, stream or tunnel."""
    file: str = ""
    size: int = 0
    destination: str = ""


class Reply(msgspec.Struct, frozen=True, kw_only=True):
    """The answer."""

    error: str = ""
    name: str = ""
    parcels: tuple[Parcel, ...] = ()
    size: int = 0
    bytes_in: int = 0
    bytes_out: int = 0
    refused_lines: int = 0


class House(Protocol):
    """What is behind the door."""

    post_office: PostOffice
    sources: dict[str, StreamSource]
    sinks: dict[str, StreamSink]

    @abstractmethod
    async def through(self, name: str) -> Session:
        """Open a session of a tunnel."""


class Door:
    """Serves commands while the edge runs."""

    def __init__(self, house: House, folder: Path, start: Start) -> None:
        """`start` runs something as long as the edge runs, at most."""
        self._house = house
        self._folder = folder
        self._start = start
        self._is_open = False
        self._token = secrets.token_urlsafe(24)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """Listen while the context lasts."""
        server = await asyncio.start_server(self._come, "127.0.0.1", 0, limit=MAX_LINE_BYTES)
        self._is_open = True
        key = Key(server.sockets[0].getsockname()[1], self._token)
        write_private(self._folder / DOOR, msgspec.json.encode(key))
        try:
            yield
        finally:
            self._is_open = False
            server.close()
            (self._folder / DOOR).unlink(missing_ok=True)

    def _come(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._is_open:
            self._start(self._attend(reader, writer))
        else:
            writer.close()

    async def _attend(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await self._serve(reader, writer)
        except Exception:
            # The door's supervisor: a fault in one command must not end the node.
            log.exception("a command at the door of %s failed", self._folder)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(REQUEST_DEADLINE_S):
                ask = msgspec.json.decode(await reader.readuntil(), type=Ask)
            if not hmac.compare_digest(ask.token.encode(), self._token.encode()):
                raise ChannelError("the door's key has changed; the node was started again")
            await self._do(ask, reader, writer)
        except (QnxError, *_BROKEN) as error:
            with suppress(OSError):
                _say(writer, Reply(error=str(error) or type(error).__name__))
                await writer.drain()
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def _do(
        self, ask: Ask, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        office = self._house.post_office
        match ask.what:
            case "send":
                name = await office.post(ask.file, ask.size, ask.destination, reader)
                _say(writer, Reply(name=name))
                async for progress in office.follow(name):
                    _say(writer, progress)
                    await writer.drain()
            case "list":
                _say(writer, Reply(parcels=tuple(map(_public, office.inbox.all()))))
            case "take":
                await self._take(ask.name, reader, writer)
            case "feed":
                await self._feed(_one(self._house.sources, ask.name, "begins"), reader, writer)
            case "read":
                sink = _one(self._house.sinks, ask.name, "ends")
                _say(writer, Reply())
                while True:
                    writer.write(await sink.read())
                    await writer.drain()
            case "tunnel":
                await self._tunnel(ask.name, reader, writer)
            case _:
                raise ChannelError(f"the door does not know '{ask.what[:40]}'")

    async def _take(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Give a parcel out, and forget it when the caller says that he has it."""
        inbox = self._house.post_office.inbox
        parcel = inbox.get(name)
        if parcel is None:
            raise ChannelError(f"there is no parcel '{name[:40]}' here")
        _say(writer, Reply(name=parcel.file, size=parcel.size))
        content = inbox.content(parcel)
        for number in range(parcel.chunks):
            writer.write(await asyncio.to_thread(content.read, number))
            await writer.drain()
        if await reader.readexactly(1) == b"+":
            inbox.forget(name)

    async def _feed(
        self, source: StreamSource, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        before = source.pipeline.bytes_in, source.pipeline.bytes_out, source.pipeline.refused_lines
        _say(writer, Reply())
        await writer.drain()
        rest = b""
        while piece := await reader.read(PIECE_BYTES):
            *lines, rest = (rest + piece).split(b"\n")
            if len(rest) > MAX_LINE_BYTES:
                raise ChannelError(f"a line of more than {MAX_LINE_BYTES} bytes")
            await source.feed([line for line in lines if line.strip()])
        await source.feed([rest] if rest.strip() else [], is_end=True)
        await source.drained()
        pipeline = source.pipeline
        _say(
            writer,
            Reply(
                bytes_in=pipeline.bytes_in - before[0],
                bytes_out=pipeline.bytes_out - before[1],
                refused_lines=pipeline.refused_lines - before[2],
            ),
        )

    async def _tunnel(
        self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        """Carry bytes both ways; what comes out stands in pieces, so that a reply may follow."""
        session = await self._house.through(name)
        async with user_pair() as (user, theirs):
            session.start(theirs, is_opener=True)
            _say(writer, Reply())
            try:
                async with asyncio.TaskGroup() as tasks:
                    going = tasks.create_task(_carry_in(reader, user, session))
                    await _carry_out(user.reader, writer)
                    if going.done():
                        await asyncio.to_thread(session.is_over.wait)
                    _say(writer, Reply(error=session.reason and f"it ended: {session.reason}"))
                    await writer.drain()
            except* _BROKEN:
                session.finish(USER_LEFT)


async def _carry_in(reader: asyncio.StreamReader, user: User, session: Session) -> None:
    try:
        while piece := await reader.read(PIECE_BYTES):
            user.writer.write(piece)
            await user.writer.drain()
        user.writer.write_eof()
    except OSError:
        session.finish(USER_LEFT)  # unless it ended before: then this is only how it shows


async def _carry_out(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):  # the session has a reason, which is told
        while piece := await reader.read(PIECE_BYTES):
            writer.write(PIECE.pack(len(piece)) + piece)
            await writer.drain()
    writer.write(PIECE.pack(0))


def _say(writer: asyncio.StreamWriter, message: msgspec.Struct) -> None:
    writer.write(msgspec.json.encode(message) + b"\n")


def _public(parcel: Parcel) -> Parcel:
    return msgspec.structs.replace(parcel, key="")


def _one(ends: Mapping[str, _Kind], name: str, does: str) -> _Kind:
    if name not in ends:
        known = ", ".join(ends) or "none"
        raise ChannelError(f"no stream '{name[:64]}' {does} here; there is {known}")
    return ends[name]
