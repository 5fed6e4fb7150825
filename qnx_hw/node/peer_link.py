"""The classical channel: ordered messages between the two ends of a link over one TCP stream.

Alice's node dials, Bob's node listens. After the connection both sides greet in clear; nothing in
a greeting is trusted beyond choosing the link, because the session authenticates everything that
follows. A message is a length of 4 bytes (big endian) and its bytes. Two lengths that no message
has are signs of life: each second either side sends one, and the other returns it at once, which
tells how long the way is.
"""

from __future__ import annotations

import asyncio
import struct
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import msgspec

from qnx_hw.errors import UNREADABLE, ChannelError

VERSION = 4
MAX_MESSAGE_BYTES = 16 << 20
"""What a session says at most; a peer cannot make us allocate beyond it."""
MAX_GREETING_BYTES = 4096
GREETING_DEADLINE_S = 5.0
SEND_DEADLINE_S = 30.0
SIGN_OF_LIFE_S = 1.0
SILENCE_LIMIT_S = 10.0
"""A peer that lives sends a sign of life each second, also while it computes."""
MAX_WAITING_PEERS = 16
SIGNS_UNDER_WAY = 64
TRIPS_KEPT = 16
"""Of so many round trips the shortest counts: a message can wait here for a busy session."""

_LENGTH = struct.Struct(">I")
_ALIVE, _ALIVE_TOO = 0xFFFF_FFFF, 0xFFFF_FFFE
_BROKEN = (OSError, asyncio.IncompleteReadError, TimeoutError)


class Greeting(msgspec.Struct, frozen=True, kw_only=True):
    """What each side says first."""

    link: str
    node: str
    secret_identity: str
    """The public name of the initial secret, so that a mix-up is told in words."""
    version: int = VERSION
    refusal: str = ""
    """Why the answering side will not go on; empty where it does."""


class Channel:
    """One open connection; one task sends, one task receives, and `keep_alive` runs beside them."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._asked_s: deque[float] = deque(maxlen=SIGNS_UNDER_WAY)
        self._trips_s: deque[float] = deque(maxlen=TRIPS_KEPT)

    @property
    def round_trip_s(self) -> float | None:
        """How long a message and its answer take at least; None before the first answer."""
        return min(tuple(self._trips_s), default=None)

    async def send(self, message: bytes) -> None:
        """Send one message; returns when the system took it."""
        if not 0 < len(message) <= MAX_MESSAGE_BYTES:
            raise ValueError(f"a message has 1 to {MAX_MESSAGE_BYTES} bytes, not {len(message)}")
        await self._write(_LENGTH.pack(len(message)) + message, SEND_DEADLINE_S)

    async def receive(self) -> bytes:
        """Return the next message."""
        while True:
            length = await self._length(SILENCE_LIMIT_S)
            if length == _ALIVE:
                await self._write(_LENGTH.pack(_ALIVE_TOO), SEND_DEADLINE_S)
            elif length == _ALIVE_TOO:
                self._note_trip()
            else:
                return await self._body(length, MAX_MESSAGE_BYTES)

    async def keep_alive(self) -> None:
        """Send signs of life until cancelled or the channel breaks."""
        while True:
            self._asked_s.append(asyncio.get_running_loop().time())
            await self._write(_LENGTH.pack(_ALIVE), SEND_DEADLINE_S)
            await asyncio.sleep(SIGN_OF_LIFE_S)

    def _note_trip(self) -> None:
        if self._asked_s:
            self._trips_s.append(asyncio.get_running_loop().time() - self._asked_s.popleft())

    async def greet(self, greeting: Greeting) -> None:
        """Send a greeting."""
        text = msgspec.json.encode(greeting)
        await self._write(_LENGTH.pack(len(text)) + text, GREETING_DEADLINE_S)

    async def greeting(self) -> Greeting:
        """Receive the peer's greeting."""
        length = await self._length(GREETING_DEADLINE_S)
        text = await self._body(length, MAX_GREETING_BYTES)
        try:
            return msgspec.json.decode(text, type=Greeting)
        except UNREADABLE as error:
            raise ChannelError("who connected does not speak qnx's link protocol") from error

    async def close(self) -> None:
        """Close the connection; never fails."""
        self._writer.close()
        with suppress(*_BROKEN):
            async with asyncio.timeout(0.5):
                await self._writer.wait_closed()

    def abort(self) -> None:
        """Drop the connection without waiting."""
        self._writer.close()

    async def _write(self, octets: bytes, deadline_s: float) -> None:
        try:
            async with asyncio.timeout(deadline_s):
                self._writer.write(octets)
                await self._writer.drain()
        except TimeoutError as error:
            self._writer.transport.abort()  # half a channel is none: receiving ends as well
            raise ChannelError(f"the peer took nothing for {deadline_s:g} s") from error
        except _BROKEN as error:
            raise ChannelError(f"the classical channel broke: {error}") from error

    async def _length(self, deadline_s: float) -> int:
        return int.from_bytes(await self._read(_LENGTH.size, deadline_s), "big")

    async def _body(self, length: int, limit: int) -> bytes:
        if not 0 < length <= limit:
            raise ChannelError(f"the peer announced {length} bytes, not 1 to {limit}")
        return await self._read(length, SEND_DEADLINE_S)

    async def _read(self, size: int, deadline_s: float) -> bytes:
        try:
            async with asyncio.timeout(deadline_s):
                return await self._reader.readexactly(size)
        except asyncio.IncompleteReadError as error:
            raise ChannelError("the peer closed the classical channel") from error
        except TimeoutError as error:
            raise ChannelError(f"the peer was silent for {deadline_s:g} s") from error
        except OSError as error:
            raise ChannelError(f"the classical channel broke: {error}") from error


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


@asynccontextmanager
async def dial(address: str, greeting: Greeting) -> AsyncIterator[Channel]:
    """Connect to the peer's listener and greet; `ChannelError` where it refuses or is away."""
    host, port = split_address(address)
    try:
        async with asyncio.timeout(GREETING_DEADLINE_S):
            reader, writer = await asyncio.open_connection(host, port)
    except (OSError, TimeoutError) as error:
        raise ChannelError(f"no peer at {address}: {str(error) or 'deadline'}") from error
    channel = Channel(reader, writer)
    try:
        await channel.greet(greeting)
        answer = await channel.greeting()
        if refusal := answer.refusal or refuse(greeting, answer):
            raise ChannelError(f"the peer refused: {refusal}")
        yield channel
    finally:
        await channel.close()


def refuse(ours: Greeting, theirs: Greeting) -> str:
    """Return why two greetings do not fit, the same at both ends; empty where they do."""
    if ours.version != theirs.version:
        return f"link protocol versions {ours.version} and {theirs.version} differ"
    if ours.link != theirs.link:
        return f"links '{ours.link}' and '{theirs.link}' differ"
    if ours.node == theirs.node:
        return f"both ends say they are '{ours.node}'"
    if ours.secret_identity != theirs.secret_identity:
        return "the initial secrets differ; make new ones for both with `qnx keys init`"
    return ""


class Listener:
    """Where peers knock; at most `MAX_WAITING_PEERS` wait, more are turned away."""

    address: str = ""
    """The address really bound: port 0 becomes a free one."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[Channel] = asyncio.Queue(MAX_WAITING_PEERS)

    async def accept(self) -> Channel:
        """Return the next connection, before any greeting; the caller closes it."""
        return await self._waiting.get()

    def knocked(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take a new connection; called by the event loop."""
        try:
            self._waiting.put_nowait(Channel(reader, writer))
        except asyncio.QueueFull:
            writer.close()

    def turn_away(self) -> None:
        """Close what still waits."""
        while not self._waiting.empty():
            self._waiting.get_nowait().abort()


@asynccontextmanager
async def listening(address: str) -> AsyncIterator[Listener]:
    """Listen for peers at `address` while the context lasts."""
    host, port = split_address(address)
    listener = Listener()
    try:
        server = await asyncio.start_server(listener.knocked, host, port)
    except OSError as error:
        raise ChannelError(f"cannot listen for peers at {address}: {error.strerror}") from error
    listener.address = f"{address.rpartition(':')[0]}:{server.sockets[0].getsockname()[1]}"
    try:
        yield listener
    finally:
        server.close()
        listener.turn_away()
