"""What an instrument sends, cut into the pieces that a relay may hold back, delay or damage."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from qnx_hw.errors import ProtocolError
from qnx_hw.transports.messages import LONGEST_MESSAGE

GREETING_BYTES = 64
MORE, LONG, COMMAND = 1, 2, 4


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes on their way; only of the body may something be missing or wrong."""

    before: bytes
    body: bytes
    is_framed: bool = False
    """Whether the body travels in a frame that says how long it is."""

    @property
    def wire(self) -> bytes:
        """The bytes that travel."""
        return self.before + (frame(self.body) if self.is_framed else self.body)

    @property
    def is_content(self) -> bool:
        """Whether the instrument says something; else only its wire keeps itself up."""
        return self.is_framed or bool(self.body)

    def stray(self, byte: bytes) -> Piece:
        """Return it with a byte before it that nobody sent."""
        return Piece(self.before, byte + self.body, self.is_framed)

    def slipped(self, n_bytes: int) -> Piece:
        """Return it without its end."""
        return Piece(self.before, self.body[:-n_bytes], self.is_framed)


class Cutter(Protocol):
    """Makes pieces of the bytes of one connection."""

    longest_absence_s: float
    """How long a client may wait for the instrument's port to open."""

    def feed(self, received: bytes) -> Iterator[Piece]: ...


class Chunks(Cutter):
    """Bytes without borders: each arrival is a piece."""

    longest_absence_s = 0.0

    def feed(self, received: bytes) -> Iterator[Piece]:
        """Yield what came."""
        yield Piece(b"", received)


class ZmqMessages(Cutter):
    """Messages of a ZeroMQ connection, with their envelopes; greetings and commands pass whole.

    Source: RFC 23/ZMTP 3.0 and 37/ZMTP 3.1, sections "Overall behaviour" and "Framing".
    """

    longest_absence_s = 60.0  # who connects first waits, as ZeroMQ does by itself

    def __init__(self) -> None:
        self._pending = bytearray()
        self._greeting_left = GREETING_BYTES
        self._envelope = b""

    def feed(self, received: bytes) -> Iterator[Piece]:
        """Yield what came of the greeting, and each command and message that is complete now."""
        self._pending += received
        if self._greeting_left:
            # It must not be held back: each side sends the rest of it after the other's beginning.
            greeting = self._take(self._greeting_left)
            self._greeting_left -= len(greeting)
            yield Piece(greeting, b"")
        while (head := self._head()) is not None:
            flags, start, size = head
            taken = self._take(start + size)
            if flags & COMMAND:
                yield Piece(taken, b"")
            elif flags & MORE:
                self._envelope += taken
            else:
                envelope, self._envelope = self._envelope, b""
                yield Piece(envelope, taken[start:], is_framed=True)

    def _head(self) -> tuple[int, int, int] | None:
        """Return flags, where the body starts and its size, once the frame is complete."""
        if len(self._pending) < 2:
            return None
        flags, size, start = self._pending[0], self._pending[1], 2
        if flags & LONG:
            if len(self._pending) < 9:
                return None
            (size,), start = struct.unpack_from(">Q", self._pending, 1), 9
        if size > LONGEST_MESSAGE:
            raise ProtocolError(f"a frame of {size} bytes was announced")
        return (flags, start, size) if len(self._pending) >= start + size else None

    def _take(self, size: int) -> bytes:
        taken = bytes(self._pending[:size])
        del self._pending[:size]
        return taken


def frame(body: bytes) -> bytes:
    """Return the last frame of a ZeroMQ message."""
    if len(body) < 256:
        return bytes((0, len(body))) + body
    return struct.pack(">BQ", LONG, len(body)) + body
