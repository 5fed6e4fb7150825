"""Whole messages on a byte wire: each goes with its length before it, in both directions.

Wires that carry messages (ZeroMQ) speak so to their link, and so their transcripts keep the borders
of the messages.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from qnx_hw.errors import ProtocolError
from qnx_hw.transports.framing import Framer

_LENGTH = struct.Struct("<I")
# An ID900 sends at most 100 M time stamps of 8 bytes at once, if it is never asked for less.
LONGEST_MESSAGE = 1 << 30


def message(payload: bytes) -> bytes:
    """Return the bytes of one message on such a wire."""
    return _LENGTH.pack(len(payload)) + payload


class Messages(Framer):
    """Cuts such bytes into messages; the empty one is a message, too."""

    def __init__(self, *, limit: int = LONGEST_MESSAGE) -> None:
        self._limit = limit
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each message that is complete now; raise `ProtocolError` for one without end."""
        self._pending += received
        while len(self._pending) >= _LENGTH.size:
            (size,) = _LENGTH.unpack_from(self._pending)
            if size > self._limit:
                raise ProtocolError(f"a message of {size} bytes was announced")
            end = _LENGTH.size + size
            if len(self._pending) < end:
                return
            payload = bytes(self._pending[_LENGTH.size : end])
            del self._pending[:end]
            yield payload

    def reset(self) -> int:
        """Keep what has come: the lengths must stay in step with the bytes."""
        return 0
