"""What an eavesdropper between two edges reads: greetings, records, and what was used twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import msgspec
from hostile_wire import HostileWire

from qnx_hw.edge.circuits import Open, Opened, Purpose
from qnx_hw.edge.handshake import Hello, Mode, Welcome
from qnx_hw.edge.records import (
    HEADER_BYTES,
    PAD_ADDRESS_BYTES,
    TAG_BYTES,
    BadRecord,
    Header,
    RecordDecoder,
)


@dataclass
class Capture:
    """All that passed a wire, by session."""

    hellos: dict[int, Hello] = field(default_factory=dict)
    """By the number of their connection."""
    welcomes: dict[int, Welcome] = field(default_factory=dict)
    repeated: int = 0
    """Records that came again, byte for byte."""
    reused: list[str] = field(default_factory=list)
    """Nonces and pad bytes that protect two texts."""
    records: dict[tuple[bytes, str, int, int], bytes] = field(default_factory=dict)
    """By session, direction, epoch and number: what a traffic key and a nonce hang on."""
    pads: dict[tuple[str, int], tuple[int, bytes]] = field(default_factory=dict)
    """By direction and address: how long, and the record."""

    def take(self, session: bytes, way: str, header: Header, record: bytes) -> None:
        """Look at a record."""
        place = session, way, header.epoch, header.number
        self.repeated += place in self.records
        if self.records.setdefault(place, record) != record:
            self.reused.append(f"nonce {header.epoch}/{header.number} {way}")
        if any(
            hello.session == session and hello.mode is Mode.OTP for hello in self.hellos.values()
        ):
            octets = record[HEADER_BYTES : HEADER_BYTES + PAD_ADDRESS_BYTES]
            size = header.length - PAD_ADDRESS_BYTES  # the data, and 16 bytes for the tag
            pad = way, int.from_bytes(octets, "big")
            assert size >= TAG_BYTES
            if self.pads.setdefault(pad, (size, record)) != (size, record):
                self.reused.append(f"pad at {pad[1]} {way}")

    def overlapping_pads(self) -> list[tuple[str, int]]:
        """Return where pad bytes of one record begin within those of another."""
        found = []
        for way in ("out", "back"):
            places = sorted((at, size) for (to, at), (size, _) in self.pads.items() if to == way)
            end = 0
            for at, size in places:
                if at < end:
                    found.append((way, at))
                end = max(end, at + size)
        return found


def sessions_of(wire: HostileWire) -> list[int]:
    """Return the connections that are no probes."""
    return sorted({number for number, _ in wire.captured if _purpose(wire, number) != "probe"})


def read_capture(wire: HostileWire) -> Capture:
    """Read what a wire saw."""
    capture = Capture()
    for number in sessions_of(wire):
        out, back = (bytes(wire.captured.get((number, way), b"")) for way in ("out", "back"))
        if not first_message(back):
            continue  # killed before the answer
        request = msgspec.msgpack.decode(first_message(out), type=Open)
        answer = msgspec.msgpack.decode(first_message(back), type=Opened)
        session = msgspec.msgpack.decode(request.greeting)[0]
        if request.purpose is Purpose.SESSION:
            capture.hellos[number] = msgspec.msgpack.decode(request.greeting, type=Hello)
            if answer.greeting:
                welcome = msgspec.msgpack.decode(answer.greeting, type=Welcome)
                capture.welcomes[number] = welcome
        for way, octets in (("out", out), ("back", back)):
            for header, record in _records(octets[4 + len(first_message(octets)) :]):
                capture.take(session, way, header, record)
    return capture


def first_message(octets: bytes) -> bytes:
    """Return the message a circuit begins with; empty where it was not sent whole."""
    end = 4 + int.from_bytes(octets[:4], "big")
    return octets[4:end] if len(octets) >= max(5, end) else b""


def _records(stream: bytes) -> Iterator[tuple[Header, bytes]]:
    with suppress(BadRecord):
        yield from RecordDecoder().feed(stream)


def _purpose(wire: HostileWire, number: int) -> str:
    message = first_message(bytes(wire.captured.get((number, "out"), b"")))
    return msgspec.msgpack.decode(message, type=Open).purpose if message else "probe"
