"""Records: what travels from one end of a session to the other, over any number of relays.

    byte  0      version
          1      type
          2  2   flags, 0
          4  4   epoch: which key
          8  8   number: 0 for the first record of a session and direction, then counting up
         16  8   acknowledged: the number that the sender expects next from the other direction
         24  4   0, reserved
         28  4   length of the body
         32      body: ciphertext and 16-byte tag; the header is authenticated with it

All numbers are big endian. Numbers count across epochs, so nothing can be moved between keys.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterator
from enum import IntEnum
from typing import NamedTuple

from qnx_hw.edge.figures import Figures, Memory
from qnx_hw.errors import QnxError

VERSION = 1
HEADER_BYTES = 32
TAG_BYTES = 16
MAX_PLAIN_BYTES = 65536
PAD_ADDRESS_BYTES = 8
MAX_BODY_BYTES = MAX_PLAIN_BYTES + PAD_ADDRESS_BYTES + TAG_BYTES
MAX_RECORD_BYTES = HEADER_BYTES + MAX_BODY_BYTES

_HEADER = struct.Struct(">BBHIQQII")


class RecordType(IntEnum):
    """What a record is for."""

    DATA = 1
    END = 2
    """No more data in this direction."""
    START = 3
    """The first record of the side that opened the session: it holds the keys."""
    CLOSE = 4
    """The session is over; the body says why."""
    NEXT_KEY = 5
    """Names the key of the next epoch."""
    KEY_READY = 6
    """The key of an epoch is here; or, with a reason, it is not."""
    PING = 7
    PONG = 8


RUN_HEADER = struct.Struct(">IIQQII")
"""The header, with version, type and flags as one number: what a run of records has in common."""
DATA_BEGIN = int.from_bytes(struct.pack(">BBH", VERSION, RecordType.DATA, 0), "big")
ACKNOWLEDGE_BEGIN = int.from_bytes(struct.pack(">BBH", VERSION, RecordType.PONG, 0), "big")

_TYPES = {int(kind): kind for kind in RecordType}


class BadRecord(QnxError, ValueError):
    """A record that nobody of this session sent, or not in this place."""


class Header(NamedTuple):
    """The clear part of a record."""

    kind: RecordType
    epoch: int
    number: int
    acknowledged: int
    length: int


def pack_header(buffer: bytearray | memoryview, at: int, header: tuple[int, ...]) -> None:
    """Write a header's fields into a buffer; a plain tuple will do."""
    kind, epoch, number, acknowledged, length = header
    _HEADER.pack_into(buffer, at, VERSION, kind, 0, epoch, number, acknowledged, 0, length)


def parse_header(octets: bytes | bytearray | memoryview, at: int = 0) -> Header:
    """Read a header; `BadRecord` for anything that no version of ours sends."""
    version, kind, flags, epoch, number, acknowledged, zero, length = _HEADER.unpack_from(
        octets, at
    )
    if version != VERSION or flags or zero:
        raise BadRecord("not a record of this version")
    known = _TYPES.get(kind)
    if known is None:
        raise BadRecord(f"there is no record type {kind}")
    if not TAG_BYTES <= length <= MAX_BODY_BYTES:
        raise BadRecord(f"a record cannot have {length} bytes")
    return Header(known, epoch, number, acknowledged, length)


class RecordReader:
    """Cuts what a socket brings into records, as many at a time as have come."""

    def __init__(self, capacity_bytes: int, figures: Figures | None = None) -> None:
        self._buffer, address = Memory.of(capacity_bytes)
        self._figures = figures if figures is not None else Figures()
        self._figures.arrived = address
        self._figures.arrived_bytes = capacity_bytes

    def clear(self) -> None:
        """Forget what came: the socket is another one."""
        self._figures.arrived_start = self._figures.arrived_end = 0

    @property
    def is_empty(self) -> bool:
        """Whether all that came was taken."""
        return self._figures.arrived_start == self._figures.arrived_end

    def fill(self, circuit: socket.socket) -> None:
        """Wait for more; what `take` returned before is no longer valid."""
        self.filled(circuit.recv_into(self.room()))

    def room(self) -> memoryview:
        """Return where more belongs; what `take` returned before is no longer valid."""
        figures = self._figures
        start, end = figures.arrived_start, figures.arrived_end
        left = end - start
        if left:
            self._buffer[:left] = self._buffer[start:end]
        figures.arrived_start, figures.arrived_end = 0, left
        return self._buffer[left:]

    def filled(self, size: int) -> None:
        """Take note of what came into `room`; none is the end."""
        if not size:
            raise ConnectionError("the circuit ended")
        self._figures.arrived_end += size

    def pending(self) -> memoryview:
        """Return what came and was not taken; valid until `fill`."""
        return self._buffer[self._figures.arrived_start : self._figures.arrived_end]

    def skip(self, size: int) -> None:
        """Take so many bytes of `pending`."""
        self._figures.arrived_start += size

    def take(self) -> tuple[Header, memoryview] | None:
        """Return the next record, header and body together; None where it is not whole yet."""
        start, limit = self._figures.arrived_start, self._figures.arrived_end
        if limit - start < HEADER_BYTES:
            return None
        header = parse_header(self._buffer, start)
        end = start + HEADER_BYTES + header.length
        if end > limit:
            return None
        self._figures.arrived_start = end
        return header, self._buffer[start:end]


class RecordDecoder:
    """Cut a byte stream into records, however the bytes happen to arrive; holds at most one."""

    def __init__(self) -> None:
        self._pending = bytearray()

    @property
    def is_between_records(self) -> bool:
        """Whether the stream could end here without cutting a record."""
        return not self._pending

    def feed(self, octets: bytes | bytearray | memoryview) -> Iterator[tuple[Header, bytes]]:
        """Yield each complete record: its header, and header and body together."""
        self._pending += octets
        while len(self._pending) >= HEADER_BYTES:
            header = parse_header(self._pending)
            size = HEADER_BYTES + header.length
            if len(self._pending) < size:
                return
            record = bytes(self._pending[:size])
            del self._pending[:size]
            yield header, record
