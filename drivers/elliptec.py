"""The packets of Thorlabs' Elliptec bus.

Source: Thorlabs "ELLx modules protocol manual" Issue 10. A request is an address (0 to F), two
lower-case letters and upper-case hex of fixed length, without terminator. A reply is the address,
two upper-case letters, hex and CR LF. Positions are signed, 32 bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from qnx_hw.errors import ProtocolError

ADDRESSES = "0123456789ABCDEF"
# Type, serial, year, firmware, hardware, travel, pulses (manual, "IN").
IDENTITY_CHARACTERS = 30
# Rotation mounts, by the type that they report.
ROTATION_MOUNTS = {0x0E: "ELL14", 0x10: "ELL16", 0x12: "ELL18", 0x15: "ELL21"}


class Code(IntEnum):
    """What a unit says in `GS` (manual, "Error codes")."""

    OK = 0x00
    COMMUNICATION_TIMEOUT = 0x01
    MECHANICAL_TIMEOUT = 0x02
    COMMAND_ERROR = 0x03
    VALUE_OUT_OF_RANGE = 0x04
    ISOLATED = 0x05
    OUT_OF_ISOLATION = 0x06
    INITIALISING = 0x07
    THERMAL = 0x08
    BUSY = 0x09
    SENSOR = 0x0A
    MOTOR = 0x0B
    OUT_OF_RANGE = 0x0C
    OVER_CURRENT = 0x0D


@dataclass(frozen=True, slots=True)
class Reply:
    """A line from a unit."""

    address: str
    mnemonic: str
    fields: str


@dataclass(frozen=True, slots=True)
class Module:
    """What a unit says of itself; `pulses` are those of one turn."""

    kind: int
    serial: str
    firmware: str
    pulses: int


def request(address: str, command: str, value: int | None = None, digits: int = 0) -> bytes:
    """Encode a request; a negative value becomes its two's complement."""
    fields = "" if value is None else f"{value & (16**digits - 1):0{digits}X}"
    return f"{address}{command}{fields}".encode("ascii")


def decode(line: bytes) -> Reply | None:
    """Decode a line; None for what no unit says."""
    text = line.decode("latin-1")
    if len(text) < 3 or text[0] not in ADDRESSES or not text[1].isupper():
        return None
    return Reply(text[0], text[1:3], text[3:])


def position(reply: Reply) -> int:
    """Read `PO`, in pulses."""
    pulses = _hex(reply, 8)
    return pulses - (1 << 32) if pulses >> 31 else pulses


def status(reply: Reply) -> int:
    """Read `GS`; a number that the manual does not know is returned as it is."""
    return _hex(reply, 2)


def velocity(reply: Reply) -> int:
    """Read `GV`, in percent."""
    return _hex(reply, 2)


def code_name(code: int) -> str:
    """Return a code in words."""
    return Code(code).name.lower().replace("_", " ") if code in set(Code) else f"code {code:02X}"


def module(reply: Reply) -> Module:
    """Read `IN`."""
    fields = reply.fields
    if len(fields) != IDENTITY_CHARACTERS:
        raise _corrupt(reply)
    try:
        kind, pulses = int(fields[:2], 16), int(fields[22:], 16)
    except ValueError as error:
        raise _corrupt(reply) from error
    if not pulses:
        raise _corrupt(reply)
    return Module(kind, fields[2:10], fields[14:16], pulses)


def _hex(reply: Reply, digits: int) -> int:
    if len(reply.fields) != digits:
        raise _corrupt(reply)
    try:
        return int(reply.fields, 16)
    except ValueError as error:
        raise _corrupt(reply) from error


def _corrupt(reply: Reply) -> ProtocolError:
    text = f"{reply.address}{reply.mnemonic}{reply.fields}"
    return ProtocolError(f"an Elliptec unit sent {text!r}", text.encode("latin-1"))
