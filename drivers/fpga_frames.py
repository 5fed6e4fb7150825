"""Frames of the board protocol, docs/reference/fpga-boards.md: cut, checked, and made.

A frame is `QB`, kind, number, length (4 bytes), payload and the CRC-32 of all that; numbers are
little endian. Bytes that are no frame are skipped up to the next one.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

import numpy as np

from qnx_hw.errors import ProtocolError
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.transports import Framer

MAGIC = b"QB"
MAX_PAYLOAD_BYTES = 1 << 24
_HEAD = struct.Struct("<2sBBI")
_CRC = struct.Struct("<I")
_SPAN = struct.Struct("<qqiI")


class Kind(IntEnum):
    """What a frame is; a reply has the request's kind and `REPLY`."""

    IDENTIFY = 0x01
    READ = 0x02
    WRITE = 0x03
    START = 0x04
    STOP = 0x05
    SEED = 0x10
    PATTERN = 0x11
    TAGS = 0x40
    REFUSED = 0xFF


REPLY = 0x80


class Frame(NamedTuple):
    """A whole frame."""

    kind: int
    number: int
    payload: bytes


def encode(kind: int, number: int, payload: bytes = b"") -> bytes:
    """Return the bytes of a frame."""
    body = _HEAD.pack(MAGIC, kind, number, len(payload)) + payload
    return body + _CRC.pack(zlib.crc32(body))


def read(message: bytes) -> Frame:
    """Return what a message of `Frames` holds."""
    _, kind, number, _ = _HEAD.unpack_from(message)
    return Frame(kind, number, message[_HEAD.size :])


class Frames(Framer):
    """Yields checked frames without their checksum."""

    def __init__(self) -> None:
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each frame that is complete now."""
        self._pending += received
        while (frame := self._next()) is not None:
            yield frame

    def reset(self) -> int:
        """Forget a frame that is not complete."""
        size = len(self._pending)
        self._pending.clear()
        return size

    def _next(self) -> bytes | None:
        while True:
            at = self._pending.find(MAGIC)
            if at < 0:
                del self._pending[: max(0, len(self._pending) - 1)]
                return None
            del self._pending[:at]
            if len(self._pending) < _HEAD.size:
                return None
            length = _HEAD.unpack_from(self._pending)[3]
            end = _HEAD.size + length
            if length <= MAX_PAYLOAD_BYTES and len(self._pending) < end + _CRC.size:
                return None
            if length <= MAX_PAYLOAD_BYTES:
                body = bytes(self._pending[:end])
                if _CRC.unpack_from(self._pending, end)[0] == zlib.crc32(body):
                    del self._pending[: end + _CRC.size]
                    return body
            del self._pending[:1]


def tag_block(payload: bytes) -> TagBlock:
    """Read a span of tags: start, end, lost (-1: unknown), count, times, inputs."""
    if len(payload) < _SPAN.size:
        raise ProtocolError("a frame of tags is cut short", payload[:32])
    start_ps, end_ps, lost, count = _SPAN.unpack_from(payload)
    if len(payload) != _SPAN.size + 9 * count:
        raise ProtocolError(f"a frame of {count} tags has {len(payload)} bytes", payload[:32])
    times = np.frombuffer(payload, dtype="<i8", count=count, offset=_SPAN.size).astype(np.int64)
    channels = np.frombuffer(payload, dtype=np.uint8, offset=_SPAN.size + 8 * count).copy()
    try:
        return TagBlock(times, channels, start_ps, end_ps, max(lost, UNKNOWN_LOSS))
    except ValueError as error:
        raise ProtocolError(f"a frame of tags is wrong: {error}", payload[:32]) from error
