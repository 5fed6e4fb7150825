"""A user of a session inside the node itself: messages over a pair of sockets."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import TypeVar

import msgspec

from qnx_hw.errors import UNREADABLE, ChannelError

MAX_MESSAGE_BYTES = 64 << 10

_LENGTH = struct.Struct(">I")
_Message = TypeVar("_Message", bound=msgspec.Struct)


class User:
    """Our end of a pair of sockets; the session holds the other."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    @classmethod
    @asynccontextmanager
    async def of(cls, circuit: socket.socket) -> AsyncIterator[User]:
        """Use a socket while the context lasts; it is closed at the end."""
        reader, writer = await asyncio.open_connection(sock=circuit)
        try:
            yield cls(reader, writer)
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    async def write(self, message: msgspec.Struct) -> None:
        """Send a message."""
        await self.write_octets(msgspec.msgpack.encode(message))

    async def write_octets(self, octets: bytes) -> None:
        """Send bytes with their length before them."""
        self.writer.write(_LENGTH.pack(len(octets)))
        self.writer.write(octets)
        await self.writer.drain()

    async def read_octets(self, size: int) -> bytes:
        """Receive bytes that have exactly this length."""
        (length,) = _LENGTH.unpack(await self.reader.readexactly(_LENGTH.size))
        if length != size:
            raise ChannelError(f"{length} bytes came where {size} were due")
        return await self.reader.readexactly(size)


@asynccontextmanager
async def user_pair() -> AsyncIterator[tuple[User, socket.socket]]:
    """Yield our end, and the blocking socket for a session, which then owns it."""
    ours, theirs = socket.socketpair()
    ours.setblocking(False)
    async with User.of(ours) as user:
        yield user, theirs


async def read_message(reader: asyncio.StreamReader, kind: type[_Message]) -> _Message:
    """Receive a message."""
    (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
    if length > MAX_MESSAGE_BYTES:
        raise ChannelError(f"a message of {length} bytes")
    try:
        return msgspec.msgpack.decode(await reader.readexactly(length), type=kind)
    except UNREADABLE as error:
        raise ChannelError("not the message that was due") from error
