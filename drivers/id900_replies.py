"""What an ID900 and its data link service say.

Source: ID Quantique, "ID900 Time Controller User Guide" (SCPI replies) and the maker's example
scripts (JSON of the DataLinkTargetService). Times carry `TB`, which is a picosecond; voltages `V`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal

import msgspec
import numpy as np
from numpy.typing import NDArray

from qnx_hw.errors import UNREADABLE, InstrumentRefused, ProtocolError
from qnx_hw.instruments.values import Identity

_ERRORS = ("SCPI_ERR_", "No connection")
_QUANTITY = re.compile(r"([+-]?\d+(?:\.\d*)?(?:[eE][+-]?\d+)?)\s*(TB|V)?")
# The letters of a mnemonic's short form.
SHORT_FORM = 4
STAMP = np.dtype("<u8")
# Far beyond a day of continuous acquisition; what is larger is no time stamp.
LARGEST_PS = 1 << 62


class _Problem(msgspec.Struct):
    description: str = ""


class _Reply(msgspec.Struct):
    """Any reply of the service; its fields depend on the request."""

    id: str = ""
    acquisitions_count: int = 0
    timestamps_count: int = 0
    errors: list[object] = []
    error: _Problem | None = None


@dataclass(frozen=True, slots=True)
class StreamStatus:
    """How far the service is with one stream."""

    acquisitions: int
    stamps: int
    has_errors: bool


def checked(name: str, command: str, reply: bytes) -> str:
    """Return the reply to a command, or raise what the controller complains of."""
    if not reply.isascii():
        raise ProtocolError(f"'{name}' answered {command} by {reply[:40]!r}", reply)
    text = reply.decode("ascii").strip()
    for error in _ERRORS:
        if error in text:
            raise InstrumentRefused(f"'{name}' refused {command}: {text}", text)
    return text


def identity(reply: str) -> Identity:
    """Read the answer to `*IDN?`."""
    words = [word.strip() for word in reply.split(",")]
    if len(words) != 4 or not words[1].startswith("ID"):
        raise ProtocolError(f"{reply!r} is no answer of a time controller", reply.encode())
    return Identity(*words)


def quantity(reply: str, unit: str = "") -> float:
    """Read a number, with or without its unit."""
    found = _QUANTITY.fullmatch(reply)
    if found is None or found[2] not in {None, unit}:
        raise ProtocolError(
            f"{reply!r} is no number{f' of {unit}' if unit else ''}", reply.encode()
        )
    return float(found[1])


def is_echo(reply: str, argument: str) -> bool:
    """Whether a reply says the argument again; words may be in short form, numbers in any."""
    said, wanted = reply.upper(), argument.upper()
    numbers = [found for found in map(_QUANTITY.fullmatch, (said, wanted)) if found]
    if len(numbers) == 2:
        return Decimal(numbers[0][1]) == Decimal(numbers[1][1])
    short, full = sorted((said, wanted), key=len)
    is_short_form = full.isalpha() and len(short) >= SHORT_FORM and full.startswith(short)
    return said == wanted or is_short_form


def stream_id(name: str, reply: bytes) -> str:
    """Read the answer to `start-stream`."""
    started = _service_reply(name, reply)
    if not started.id:
        raise ProtocolError(f"the data link of '{name}' named no stream", reply)
    return started.id


def stream_status(name: str, reply: bytes) -> StreamStatus:
    """Read the answer to `status`."""
    status = _service_reply(name, reply)
    if min(status.acquisitions_count, status.timestamps_count) < 0:
        raise ProtocolError(f"the data link of '{name}' counts below zero", reply)
    return StreamStatus(status.acquisitions_count, status.timestamps_count, bool(status.errors))


def _service_reply(name: str, reply: bytes) -> _Reply:
    try:
        read = msgspec.json.decode(reply, type=_Reply)
    except UNREADABLE as error:
        raise ProtocolError(f"the data link of '{name}' said {reply[:80]!r}", reply) from error
    if read.error is not None:
        raise InstrumentRefused(f"the data link of '{name}' refused: {read.error.description}")
    return read


def stamps(payload: bytes) -> NDArray[np.int64]:
    """Return the time stamps of a message in picoseconds; raise `ProtocolError` if it is none."""
    if len(payload) % STAMP.itemsize:
        raise ProtocolError(f"{len(payload)} bytes are no time stamps", payload[:16])
    times = np.frombuffer(payload, STAMP)
    if times.size and int(times.max()) >= LARGEST_PS:
        raise ProtocolError("a time stamp lies centuries ahead", payload[:16])
    return times.astype(np.int64)
