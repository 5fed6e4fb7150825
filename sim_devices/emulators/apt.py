"""The framing that Thorlabs' motion controllers share.

Source: Thorlabs, "Host-Controller Communications Protocol", Issue 28, "Description of the message
header": six bytes, little-endian; bit 0x80 of the destination tells that data follow.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from enum import IntFlag

HOST = 0x01
UNIT = 0x50
# Hosts also address racks and their first bay; a unit on USB answers all the same.
UNITS = frozenset({0x11, 0x21, UNIT})
LONG = 0x80
# No message to a motor is longer; a larger announcement is noise.
LARGEST_DATA = 255
# The host's sign of life; without one each second a unit on USB stops its updates.
SERVER_ALIVE = 0x0492
UPDATES_WITHOUT_HOST = 50
# A frame that stands still this long was never one: there is no checksum to tell.
SILENCE_S = 0.1


class Status(IntFlag):
    """Status bits of a motor (same document, "MGMSG_MOT_GET_STATUSUPDATE")."""

    FORWARD = 0x10
    REVERSE = 0x20
    CONNECTED = 0x100
    HOMING = 0x200
    HOMED = 0x400
    SETTLED = 0x2000
    OVER_CURRENT = 0x04000000
    POWER_OK = 0x10000000
    ACTIVE = 0x20000000
    ERROR = 0x40000000
    ENABLED = 0x80000000


@dataclass(frozen=True, slots=True)
class AptMessage:
    """One message to the unit; `payload` is None for a message that is only a header."""

    ident: int
    p1: int
    p2: int
    payload: bytes | None = None


class AptDecoder:
    """Cut the host's bytes into messages; noise is dropped by length and by silence."""

    def __init__(self) -> None:
        self._pending = bytearray()
        self._last_s = 0.0

    def feed(self, received: bytes, now_s: float) -> list[AptMessage]:
        """Return each message that is complete now."""
        if self._pending and now_s - self._last_s > SILENCE_S:
            self._pending.clear()
        self._last_s = now_s
        self._pending += received
        messages = []
        while len(self._pending) >= 6:
            ident, p1, p2, destination, _ = struct.unpack_from("<H4B", self._pending)
            size = p1 | p2 << 8 if destination & LONG else 0
            if size > LARGEST_DATA:
                self._pending.clear()
                break
            if len(self._pending) < 6 + size:
                break
            payload = bytes(self._pending[6 : 6 + size]) if destination & LONG else None
            del self._pending[: 6 + size]
            if destination & ~LONG in UNITS:
                messages.append(AptMessage(ident, p1, p2, payload))
        return messages


def short(ident: int, p1: int = 0, p2: int = 0) -> bytes:
    """Write a message without data from the unit to the host."""
    return struct.pack("<H4B", ident, p1, p2, HOST, UNIT)


def long(ident: int, payload: bytes) -> bytes:
    """Write a message with data from the unit to the host."""
    return struct.pack("<HHBB", ident, len(payload), HOST | LONG, UNIT) + payload


def hardware_info(serial: int, model: str, kind: int, channels: int) -> bytes:
    """Write HW_GET_INFO: serial number, model, type, firmware 1.2.3, versions and channels."""
    fields = (serial, model.encode("ascii"), kind, 3, 2, 1, 0, 1, 0, channels)
    return long(0x0006, struct.pack("<I8sH4B60xHHH", *fields))
