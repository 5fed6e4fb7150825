"""Wires: how the two ends of a hop speak before, or instead of, a circuit; plain or in TLS."""

from __future__ import annotations

import asyncio
import socket
import ssl
from abc import abstractmethod
from typing import Protocol, TypeVar

import msgspec

from qnx_hw.edge.circuits import LENGTH_BYTES, announced, decode, encode, read_exactly
from qnx_hw.errors import ChannelError

READ_BYTES = 16 << 10
TLS_HANDSHAKE = 0x16
"""The first byte of a TLS connection (RFC 8446, section 5.1); ours begin with 0."""


_Message = TypeVar("_Message", bound=msgspec.Struct)


class Unproven(ChannelError):
    """One side did not prove to the other that it is who it should be."""


class Wire(Protocol):
    """Bytes to and from a neighbour; the caller limits the time."""

    @abstractmethod
    async def write(self, octets: bytes) -> None:
        """Send all of it."""

    @abstractmethod
    async def read(self, size: int) -> bytes:
        """Receive exactly so many bytes."""


class PlainWire(Wire):
    """A connected, non-blocking socket as it is."""

    def __init__(self, circuit: socket.socket) -> None:
        self._circuit = circuit

    async def write(self, octets: bytes) -> None:
        """Send."""
        await asyncio.get_running_loop().sock_sendall(self._circuit, octets)

    async def read(self, size: int) -> bytes:
        """Receive."""
        return await read_exactly(self._circuit, size)


class TlsWire(Wire):
    """TLS over a connected, non-blocking socket, of which `heard` was read before."""

    def __init__(
        self,
        circuit: socket.socket,
        context: ssl.SSLContext,
        *,
        is_server: bool,
        heard: bytes = b"",
    ) -> None:
        self._circuit = circuit
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._incoming.write(heard)
        self.tls = context.wrap_bio(self._incoming, self._outgoing, server_side=is_server)

    async def shake_hands(self) -> None:
        """Prove both sides; `ChannelError` where the other one fails to."""
        try:
            while True:
                try:
                    self.tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    await self._hear()
            await self._say()
        except ssl.SSLError as error:
            await self._say()  # the alert, so that the other side knows why
            raise Unproven(f"the neighbour's certificate: {error.reason}") from error

    async def write(self, octets: bytes) -> None:
        """Send."""
        self.tls.write(octets)
        await self._say()

    async def read(self, size: int) -> bytes:
        """Receive."""
        octets = bytearray()
        while len(octets) < size:
            try:
                part = self.tls.read(size - len(octets))
            except ssl.SSLWantReadError:
                await self._hear()
                continue
            except ssl.SSLError as error:
                raise Unproven(f"the neighbour refused: {error.reason}") from error
            if not part:
                raise ChannelError("the wire ended early")
            octets += part
        return bytes(octets)

    async def _say(self) -> None:
        if octets := self._outgoing.read():
            await asyncio.get_running_loop().sock_sendall(self._circuit, octets)

    async def _hear(self) -> None:
        await self._say()
        octets = await asyncio.get_running_loop().sock_recv(self._circuit, READ_BYTES)
        if not octets:
            raise ChannelError("the wire ended early")
        self._incoming.write(octets)


async def tell(wire: Wire, message: msgspec.Struct) -> None:
    """Send one message."""
    await wire.write(encode(message))


async def hear(wire: Wire, kind: type[_Message]) -> _Message:
    """Receive one message."""
    return decode(await wire.read(announced(await wire.read(LENGTH_BYTES))), kind)
