"""PicoQuant PTU files: a header of tags, then 32-bit records.

Layouts after PicoQuant's published file format demonstrations (PTU, T2 and T3 modes).
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from qnx_hw.errors import RecordingError
from qnx_hw.timing.recordings.recording import SYNC_CHANNEL, Recording, SyncRecord, in_order

MAGIC = b"PQTTTR"
Words = npt.NDArray[np.uint32]

# Value types of header tags (PicoQuant, "PTU file format", tag types).
_PAYLOAD_TYPES = {0x2001FFFF, 0x4001FFFF, 0x4002FFFF, 0xFFFFFFFF}
_STRING_TYPES = {0x4001FFFF: "latin-1", 0x4002FFFF: "utf-16-le"}
_FLOAT_TYPES = {0x20000008, 0x21000008}
_LARGEST_HEADER = 64 * 1024 * 1024
_LATEST_PS = 1 << 62
"""53 days; beyond twice that, times do not fit into 64 bits."""


class Decoded(NamedTuple):
    """Records taken apart; arrays in the order of the file."""

    clocks: npt.NDArray[np.int64]
    """Time (T2) or pulse number (T3) of each tag, overflows added."""
    delays: npt.NDArray[np.uint16]
    channels: npt.NDArray[np.uint8]
    overflows: int
    markers: int


@dataclass(frozen=True, slots=True)
class RecordKind:
    """How the 32 bits of a record are used."""

    name: str
    is_t3: bool
    is_picoharp: bool = False
    """PicoHarp 300 has a layout of its own."""
    wrap: int = 1024
    """Units that one overflow adds."""
    counts_overflows: bool = True
    """Whether an overflow record says how many overflows it stands for."""


# TTResultFormat_TTTRRecType of PicoQuant's demonstrations, and the overflow period of each kind.
KINDS = {
    0x00010203: RecordKind("PicoHarp 300 T2", False, True, 210_698_240, False),
    0x00010303: RecordKind("PicoHarp 300 T3", True, True, 65_536, False),
    0x00010204: RecordKind("HydraHarp v1 T2", False, wrap=33_552_000, counts_overflows=False),
    0x00010304: RecordKind("HydraHarp v1 T3", True, counts_overflows=False),
    0x01010204: RecordKind("HydraHarp v2 T2", False, wrap=1 << 25),
    0x01010304: RecordKind("HydraHarp v2 T3", True),
    0x00010205: RecordKind("TimeHarp 260 N T2", False, wrap=1 << 25),
    0x00010305: RecordKind("TimeHarp 260 N T3", True),
    0x00010206: RecordKind("TimeHarp 260 P T2", False, wrap=1 << 25),
    0x00010306: RecordKind("TimeHarp 260 P T3", True),
    0x00010207: RecordKind("MultiHarp T2", False, wrap=1 << 25),
    0x00010307: RecordKind("MultiHarp T3", True),
}


def read(content: bytes) -> Recording:
    """Decode a whole PTU file; raise `RecordingError` where it is damaged or of unknown kind."""
    header, offset = _read_header(content)
    number = header.get("TTResultFormat_TTTRRecType")
    if not isinstance(number, int):
        raise RecordingError("the PTU header names no record type (TTResultFormat_TTTRRecType)")
    kind = KINDS.get(number)
    if kind is None:
        raise RecordingError(f"PTU record type 0x{number:08X} is not known to qnx")
    words = _records(content, offset, header.get("TTResult_NumberOfRecords"))
    decoded = _decode_picoharp(words, kind) if kind.is_picoharp else _decode(words, kind)
    clock_ps = _seconds(header, "MeasDesc_GlobalResolution") * 1e12
    times_ps = _scale(decoded.clocks, clock_ps)
    resolution_ps, sync = clock_ps, None
    if kind.is_t3:
        resolution_ps = _seconds(header, "MeasDesc_Resolution") * 1e12
        times_ps += np.rint(decoded.delays * resolution_ps).astype(np.int64)
        sync = SyncRecord(1e12 / clock_ps, decoded.clocks, decoded.delays, decoded.channels)
    times_ps, channels, backward = in_order(times_ps, decoded.channels)
    wanted = {"HW_Type": "device", "CreatorSW_Name": "program", "File_GUID": "guid"}
    details = {word: str(header[tag]) for tag, word in wanted.items() if tag in header}
    return Recording(
        format=f"PicoQuant PTU, {kind.name}",
        resolution_ps=resolution_ps,
        times_ps=times_ps,
        channels=channels,
        records=int(words.size),
        overflows=decoded.overflows,
        markers=decoded.markers,
        backward_steps=backward,
        sync=sync,
        details=details,
    )


def _scale(clocks: npt.NDArray[np.int64], unit_ps: float) -> npt.NDArray[np.int64]:
    """Multiply without losing picoseconds: a float64 would after two and a half hours."""
    _refuse_ages(float(clocks.max(initial=0)) * unit_ps)
    whole = int(unit_ps)
    scaled: npt.NDArray[np.int64] = clocks * whole
    scaled += np.rint(clocks * (unit_ps - whole)).astype(np.int64)
    return scaled


def _refuse_ages(latest_ps: float) -> None:
    if latest_ps > _LATEST_PS:
        days = latest_ps * 1e-12 / 86400
        raise RecordingError(f"the PTU file is damaged: its overflows add up to {days:,.0f} days")


def _seconds(header: dict[str, object], tag: str) -> float:
    value = header.get(tag)
    if not isinstance(value, float) or not 1e-15 < value < 1.0:
        raise RecordingError(f"the PTU header gives no usable {tag} (found {value!r})")
    return value


def _records(content: bytes, offset: int, announced: object) -> Words:
    held, spare = divmod(len(content) - offset, 4)
    # A program that was stopped may have left 0; what lies behind the announced is no record.
    wanted = announced if isinstance(announced, int) and announced > 0 else held + bool(spare)
    if wanted == held + 1 and spare:
        raise RecordingError(f"the PTU file is cut short: {spare} bytes of a record at its end")
    if wanted > held:
        raise RecordingError(
            f"the PTU file is cut short: its header announces {wanted} records, it holds {held}"
        )
    return np.frombuffer(content, dtype="<u4", count=wanted, offset=offset)


def _read_header(content: bytes) -> tuple[dict[str, object], int]:
    header: dict[str, object] = {}
    offset = 16
    for name, value, end in _tags(content):
        header[name] = value
        offset = end
        if name == "Header_End":
            return header, offset
    raise RecordingError(f"the PTU header breaks off at byte {offset}, before its end")


def _tags(content: bytes) -> Iterator[tuple[str, object, int]]:
    """Yield (name, value, where the next tag starts); names are those of the manual."""
    offset = 16
    while offset + 48 <= min(len(content), _LARGEST_HEADER):
        raw, _, kind, bits = struct.unpack_from("<32siI8s", content, offset)
        name = raw.split(b"\0", 1)[0].decode("latin-1")
        if not name.isprintable() or not name:
            return
        offset += 48
        value: object = struct.unpack("<q", bits)[0]
        if kind in _FLOAT_TYPES:
            value = struct.unpack("<d", bits)[0]
        if kind in _PAYLOAD_TYPES:
            length = struct.unpack("<q", bits)[0]
            if not 0 <= length <= len(content) - offset:
                return
            payload = content[offset : offset + length]
            offset += length
            encoding = _STRING_TYPES.get(kind)
            value = payload.decode(encoding, "replace").rstrip("\0") if encoding else payload
        yield name, value, offset


def _decode(words: Words, kind: RecordKind) -> Decoded:
    """Take apart the records of HydraHarp, TimeHarp 260 and MultiHarp."""
    special = words >> 31 == 1
    channel = ((words >> 25) & 0x3F).astype(np.uint8)
    clock_bits = 10 if kind.is_t3 else 25
    clock = (words & ((1 << clock_bits) - 1)).astype(np.int64)
    is_overflow = special & (channel == 63)
    is_sync = special & (channel == 0) & (not kind.is_t3)
    times = np.maximum(clock, 1) if kind.counts_overflows else np.ones_like(clock)
    periods = np.where(is_overflow, times, 0)
    # A unit is 1 ps (T2) or more (T3: a laser period).
    _refuse_ages(float(periods.sum()) * kind.wrap)
    carried = np.cumsum(periods) * kind.wrap
    is_tag = ~special | is_sync
    channel[is_sync] = SYNC_CHANNEL
    delays = ((words >> 10) & 0x7FFF).astype(np.uint16)
    return Decoded(
        (carried + clock)[is_tag],
        delays[is_tag] if kind.is_t3 else np.empty(0, np.uint16),
        channel[is_tag],
        int(np.count_nonzero(is_overflow)),
        int(np.count_nonzero(special & ~is_overflow & ~is_sync)),
    )


def _decode_picoharp(words: Words, kind: RecordKind) -> Decoded:
    """Take apart the records of PicoHarp 300: channel 15 is special, its markers say what it is."""
    channel = (words >> 28).astype(np.uint8)
    clock = (words & (0xFFFF if kind.is_t3 else 0x0FFFFFFF)).astype(np.int64)
    delays = ((words >> 16) & 0xFFF).astype(np.uint16)
    special = channel == 15
    marks = delays if kind.is_t3 else (words & 0xF).astype(np.uint16)
    is_overflow = special & (marks == 0)
    carried = np.cumsum(is_overflow.astype(np.int64)) * kind.wrap
    return Decoded(
        (carried + clock)[~special],
        delays[~special] if kind.is_t3 else np.empty(0, np.uint16),
        channel[~special],
        int(np.count_nonzero(is_overflow)),
        int(np.count_nonzero(special & ~is_overflow)),
    )
