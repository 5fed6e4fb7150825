"""The message format of Thorlabs' APT controllers.

Source: Thorlabs "Host-Controller Communications Protocol" Issue 28, section on message format. A
message is a 6-byte header, little-endian: `id lo, id hi, p1, p2, dest, src`, or, with bit 0x80 set
in dest, `id lo, id hi, length lo, length hi, dest | 0x80, src` and as many bytes of data. There is
no checksum and no delimiter.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from qnx_hw.errors import ProtocolError
from qnx_hw.instruments.values import Identity
from qnx_hw.transports import Framer

HOST = 0x01
USB_UNIT = 0x50
# Where a message to the host may come from: generic unit, motherboard, bays of a rack.
SOURCES = frozenset({0x50, 0x11, *range(0x21, 0x2B)})
HAS_DATA = 0x80
HEADER_BYTES = 6
# The longest data in the manual are those of HW_GET_INFO, 84 bytes.
LONGEST_DATA = 255


class Id(IntEnum):
    """Message numbers; the manual's names without MGMSG."""

    HW_DISCONNECT = 0x0002
    HW_REQ_INFO = 0x0005
    HW_GET_INFO = 0x0006
    HW_START_UPDATEMSGS = 0x0011
    HW_STOP_UPDATEMSGS = 0x0012
    HW_RESPONSE = 0x0080
    HW_RICHRESPONSE = 0x0081
    MOD_SET_CHANENABLESTATE = 0x0210
    MOD_REQ_CHANENABLESTATE = 0x0211
    MOD_GET_CHANENABLESTATE = 0x0212
    MOT_MOVE_HOME = 0x0443
    MOT_MOVE_HOMED = 0x0444
    MOT_MOVE_ABSOLUTE = 0x0453
    MOT_MOVE_COMPLETED = 0x0464
    MOT_MOVE_STOP = 0x0465
    MOT_MOVE_STOPPED = 0x0466
    MOT_REQ_USTATUSUPDATE = 0x0490
    MOT_GET_USTATUSUPDATE = 0x0491
    MOT_ACK_USTATUSUPDATE = 0x0492
    POL_SET_PARAMS = 0x0530
    POL_REQ_PARAMS = 0x0531
    POL_GET_PARAMS = 0x0532


class Status(IntFlag):
    """Status bits of a motor channel."""

    MOVING_FORWARD = 0x10
    MOVING_REVERSE = 0x20
    JOGGING_FORWARD = 0x40
    JOGGING_REVERSE = 0x80
    HOMING = 0x200
    HOMED = 0x400
    OVER_TEMPERATURE = 0x20000
    OVERLOAD = 0x01000000
    OVER_CURRENT = 0x04000000
    ERROR = 0x40000000
    ENABLED = 0x80000000


IN_MOTION = (
    Status.MOVING_FORWARD
    | Status.MOVING_REVERSE
    | Status.JOGGING_FORWARD
    | Status.JOGGING_REVERSE
    | Status.HOMING
)
IN_FAULT = Status.OVER_TEMPERATURE | Status.OVERLOAD | Status.OVER_CURRENT | Status.ERROR


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message; short ones have parameters, long ones data."""

    number: int
    p1: int = 0
    p2: int = 0
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class MotorStatus:
    """MOT_GET_USTATUSUPDATE: position in counts and the status bits."""

    ident: int
    position: int
    status: Status


def short(number: int, p1: int = 0, p2: int = 0, dest: int = USB_UNIT) -> bytes:
    """Encode a message without data."""
    return struct.pack("<HBBBB", number, p1, p2, dest, HOST)


def long(number: int, data: bytes, dest: int = USB_UNIT) -> bytes:
    """Encode a message with data."""
    return struct.pack("<HHBB", number, len(data), dest | HAS_DATA, HOST) + data


def decode(frame: bytes) -> Message:
    """Decode one complete message as `AptFramer` yields it."""
    if len(frame) < HEADER_BYTES:
        raise ProtocolError(f"an APT message of {len(frame)} bytes", frame)
    number, p1, p2, dest, _ = struct.unpack_from("<HBBBB", frame)
    if dest & HAS_DATA:
        return Message(number, data=frame[HEADER_BYTES:])
    return Message(number, p1, p2)


def hardware_identity(message: Message) -> Identity:
    """Read HW_GET_INFO: serial u32, model char[8], type u16, firmware minor, interim, major, 0."""
    if message.number != Id.HW_GET_INFO or len(message.data) < 18:
        raise ProtocolError("the unit's HW_GET_INFO is cut short", message.data)
    serial, model, _, minor, interim, major = struct.unpack_from("<I8sHBBB", message.data)
    name = model.split(b"\0")[0].decode("latin-1").strip()
    return Identity("Thorlabs", name, str(serial), f"{major}.{interim}.{minor}")


def motor_status(message: Message) -> MotorStatus:
    """Read MOT_GET_USTATUSUPDATE: ident u16, position i32, velocity u16, current i16, bits u32."""
    if message.number != Id.MOT_GET_USTATUSUPDATE or len(message.data) != 14:
        raise ProtocolError("the unit's status update has a wrong length", message.data)
    ident, position, _, _, bits = struct.unpack("<HiHhI", message.data)
    return MotorStatus(ident, position, Status(bits))


def rich_response(message: Message) -> tuple[int, str]:
    """Read HW_RICHRESPONSE: message u16, code u16, text char[64]."""
    if message.number != Id.HW_RICHRESPONSE or len(message.data) < 4:
        raise ProtocolError("the unit's error report is cut short", message.data)
    _, code = struct.unpack_from("<HH", message.data)
    return code, message.data[4:].split(b"\0")[0].decode("latin-1")


class AptFramer(Framer):
    """Cuts messages to the host; bytes that cannot begin one are dropped and counted."""

    def __init__(self) -> None:
        self.stray_bytes = 0
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each message that is complete now."""
        self._pending += received
        while len(self._pending) >= HEADER_BYTES:
            if not self._begins_message():
                del self._pending[0]
                self.stray_bytes += 1
                continue
            size = HEADER_BYTES
            if self._pending[4] & HAS_DATA:
                size += int.from_bytes(self._pending[2:4], "little")
            if len(self._pending) < size:
                return
            frame = bytes(self._pending[:size])
            del self._pending[:size]
            yield frame

    def reset(self) -> int:
        """Forget a message that is not complete."""
        size = len(self._pending)
        self._pending.clear()
        return size

    def _begins_message(self) -> bool:
        dest, source = self._pending[4], self._pending[5]
        if dest & ~HAS_DATA not in {HOST, 0} or source & ~HAS_DATA not in SOURCES:
            return False
        is_long = bool(dest & HAS_DATA)
        return not is_long or int.from_bytes(self._pending[2:4], "little") <= LONGEST_DATA
