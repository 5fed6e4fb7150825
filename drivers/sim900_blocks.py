"""What goes over the wire of an SRS SIM900: commands, and blocks of what modules said.

Source: SRS "SIM900 Operation and Service Manual", remote commands. Host lines end with LF, replies
with CR LF. `GETN?` is answered by a block: `#3`, three digits, as many bytes, CR LF.
"""

from __future__ import annotations

from collections.abc import Iterator

from qnx_hw.errors import ProtocolError
from qnx_hw.transports import Framer

LARGEST_BLOCK = 128
LONGEST_LINE = 256
_HEAD = b"#3"
_HEAD_BYTES = 5


class BlockFramer(Framer):
    """Cuts blocks, head and data, and other lines; both without their end."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each block or line that is complete now."""
        self._pending += received
        while (message := self._next()) is not None:
            yield message

    def reset(self) -> int:
        """Forget what is not complete."""
        size = len(self._pending)
        self._pending.clear()
        return size

    def _next(self) -> bytes | None:
        pending = self._pending
        if pending.startswith(_HEAD):
            if len(pending) < _HEAD_BYTES:
                return None
            if pending[2:_HEAD_BYTES].isdigit():
                size = _HEAD_BYTES + int(pending[2:_HEAD_BYTES])
                return self._take(size, 2) if len(pending) >= size + 2 else None
        size = pending.find(b"\n")
        if size >= 0:
            return self._take(size, 1).rstrip(b"\r")
        return self._take(len(pending), 0) if len(pending) > LONGEST_LINE else None

    def _take(self, size: int, end: int) -> bytes:
        message = bytes(self._pending[:size])
        del self._pending[: size + end]
        return message


def tell(slot: int, text: str) -> bytes:
    """Encode a line for the module in a slot."""
    return f'SNDT {slot},"{text}"\n'.encode("ascii")


def take(slot: int) -> bytes:
    """Encode the question for what the module in a slot has said."""
    return f"GETN? {slot},{LARGEST_BLOCK}\n".encode("ascii")


def is_block(message: bytes) -> bool:
    """Whether a message answers `take`."""
    return message.startswith(_HEAD) and message[2:_HEAD_BYTES].isdigit()


def content(message: bytes) -> bytes:
    """Return what a block holds."""
    if not is_block(message):
        raise ProtocolError("the mainframe sent no block", message)
    return message[_HEAD_BYTES:]
