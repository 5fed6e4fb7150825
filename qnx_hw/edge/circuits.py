"""Circuits: one TCP connection per hop, opened hop by hop, then only bytes.

Whoever opens a circuit says where it shall end; each relay adds its name, opens the next hop, and
passes the answer back. A relay that finds no way says so, and the one before tries another
neighbour. What relays read is in clear; it proves the neighbour (`neighbours`), not the ends, which
prove themselves to each other with keys that relays do not have (`handshake`).
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from enum import StrEnum
from typing import Any, TypeVar

import msgspec

from qnx_hw.edge.forwarding import MAX_HOPS
from qnx_hw.edge.tcp import begin_unpaced, settle
from qnx_hw.errors import UNREADABLE, ChannelError

VERSION = 2
MAX_MESSAGE_BYTES = 16 << 10
OPEN_DEADLINE_S = 6.0
"""For the whole way; a relay gets what is left of it."""
CONNECT_DEADLINE_S = 2.0

_LENGTH = struct.Struct(">I")
LENGTH_BYTES = _LENGTH.size
_Message = TypeVar("_Message", bound=msgspec.Struct)


class Purpose(StrEnum):
    """What a circuit is for."""

    SESSION = "session"
    RESUME = "resume"
    PROBE = "probe"


class Refusal(StrEnum):
    """Why a circuit does not stand."""

    NONE = "none"
    NO_WAY = "no-way"
    NO_KEY = "no-key"
    """The destination lacks key; it is worth while to ask again."""
    DECLINED = "declined"
    """The destination does not want it."""


class Open(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """Asks for a circuit."""

    version: int
    purpose: Purpose
    source: str
    destination: str
    traffic_class: str
    path: tuple[str, ...]
    """The nodes passed, the source first."""
    deadline_ms: int
    greeting: bytes
    """For the destination; relays do not read it."""
    hop_key: bytes = b""
    hop_number: int = 0
    tag: bytes = b""
    """By which key of the neighbour that asks, its how many-th request, and the proof."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """The answer: the circuit stands, or why not."""

    refusal: Refusal = Refusal.NONE
    reason: str = ""
    path: tuple[str, ...] = ()
    greeting: bytes = b""
    tag: bytes = b""
    """The neighbour's proof."""


def encode(message: msgspec.Struct) -> bytes:
    """Return a message with its length before it."""
    octets = msgspec.msgpack.encode(message)
    return _LENGTH.pack(len(octets)) + octets


def decode(octets: bytes, kind: type[_Message]) -> _Message:
    """Read a message without its length; `ChannelError` for anything else."""
    try:
        return msgspec.msgpack.decode(octets, type=kind)
    except UNREADABLE as error:
        raise ChannelError("a circuit began with something else than a request") from error


def announced(octets: bytes) -> int:
    """Return how long the message is whose first `LENGTH_BYTES` these are."""
    (length,) = _LENGTH.unpack(octets)
    if length > MAX_MESSAGE_BYTES:
        raise ChannelError(f"a circuit began with {length} bytes, more than {MAX_MESSAGE_BYTES}")
    return int(length)


async def send(circuit: socket.socket, message: msgspec.Struct) -> None:
    """Send one message; the caller limits the time."""
    await asyncio.get_running_loop().sock_sendall(circuit, encode(message))


async def receive(circuit: socket.socket, kind: type[_Message]) -> _Message:
    """Receive one message and not a byte more; `ChannelError` for anything else."""
    return await receive_rest(circuit, await read_exactly(circuit, LENGTH_BYTES), kind)


async def receive_rest(circuit: socket.socket, begun: bytes, kind: type[_Message]) -> _Message:
    """Receive a message whose first `LENGTH_BYTES` came already."""
    return decode(await read_exactly(circuit, announced(begun)), kind)


async def read_exactly(circuit: socket.socket, size: int) -> bytes:
    """Read exactly so many bytes."""
    loop = asyncio.get_running_loop()
    octets = bytearray()
    while len(octets) < size:
        part = await loop.sock_recv(circuit, size - len(octets))
        if not part:
            raise ChannelError("the circuit ended early")
        octets += part
    return bytes(octets)


def check(request: Open) -> None:
    """Refuse what no node of ours asks."""
    if request.version != VERSION:
        raise ChannelError(f"circuit version {request.version} is not {VERSION}")
    if not 1 <= len(request.path) <= MAX_HOPS or request.path[0] != request.source:
        raise ChannelError("a circuit that came too far, or from nowhere")
    if not 0 < request.deadline_ms <= 1000 * OPEN_DEADLINE_S:
        raise ChannelError("a circuit without a deadline")


@asynccontextmanager
async def connecting(
    address: tuple[str, int], deadline_s: float = CONNECT_DEADLINE_S
) -> AsyncIterator[socket.socket]:
    """Connect to an address; the socket is closed where the body fails, and kept otherwise."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(deadline_s):
            family, kind, protocol, _, place = await _found(address)
    except (OSError, TimeoutError) as error:
        raise ChannelError(f"{address[0]} is no address: {error}") from error
    circuit = socket.socket(family, kind, protocol)
    with closed_on_failure(circuit):
        circuit.setblocking(False)
        circuit.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        begin_unpaced(circuit)
        try:
            async with asyncio.timeout(deadline_s):
                await loop.sock_connect(circuit, place)
            settle(circuit)
        except (OSError, TimeoutError) as error:
            raise ChannelError(
                f"nobody at {address[0]}:{address[1]}: {str(error) or 'deadline'}"
            ) from error
        yield circuit


async def _found(address: tuple[str, int]) -> tuple[int, int, int, str, Any]:
    """Look an address up; one in numbers at once, since names wait for a thread."""
    with suppress(OSError):
        return socket.getaddrinfo(*address, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST)[0]
    found = await asyncio.get_running_loop().getaddrinfo(*address, type=socket.SOCK_STREAM)
    return found[0]


@contextmanager
def closed_on_failure(circuit: socket.socket) -> Iterator[None]:
    """Close a socket where the body fails or is cancelled: nobody else knows it yet."""
    with ExitStack() as stack:
        stack.callback(circuit.close)
        yield
        stack.pop_all()


def split_address(address: str) -> tuple[str, int]:
    """Return host and port of `host:port` or `[v6]:port`."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def listen(address: str) -> socket.socket:
    """Listen at an address; `ChannelError` where that is not possible."""
    host, port = split_address(address)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        begin_unpaced(listener)
        listener.bind((host, port))
        listener.listen(256)
        listener.setblocking(False)
    except OSError as error:
        listener.close()
        raise ChannelError(f"cannot listen at {address}: {error.strerror}") from error
    return listener


@contextmanager
def accepting(listener: socket.socket, take: Callable[[socket.socket], None]) -> Iterator[None]:
    """Give `take` each new connection while the context lasts; closes the listener.

    An accepting task could be cancelled between a connection and the line that keeps it.
    """
    loop = asyncio.get_running_loop()

    def ready() -> None:
        with suppress(OSError):
            circuit, _ = listener.accept()
            circuit.setblocking(False)
            circuit.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            settle(circuit)
            take(circuit)

    loop.add_reader(listener, ready)
    try:
        yield
    finally:
        loop.remove_reader(listener)
        listener.close()
