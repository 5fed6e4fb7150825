"""What emulated FPGA boards have in common: frames, settings, and refusals.

Written from docs/reference/fpga-boards.md. A frame is `QB`, kind, number, length, payload, CRC-32,
little endian; a reply has the request's number and its kind with the top bit set.
"""

from __future__ import annotations

import json
import struct
import zlib
from abc import abstractmethod
from collections.abc import Mapping

from sim_devices.emulators.emulator import Emulator, Output, PortKind

IDENTIFY, READ, WRITE, START, STOP, SEED, PATTERN, TAGS = 1, 2, 3, 4, 5, 0x10, 0x11, 0x40
REFUSED = 0xFF
LARGEST_PAYLOAD = 1 << 24
HEAD = struct.Struct("<2sBBI")
Setting = float | int | str | bool


class Refusal(Exception):
    """The board will not do it; the text goes back to the host."""


def frame(kind: int, number: int, payload: bytes = b"") -> bytes:
    """Return a whole frame."""
    body = HEAD.pack(b"QB", kind, number, len(payload)) + payload
    return body + zlib.crc32(body).to_bytes(4, "little")


class FrameReader:
    """Cut one client's bytes into frames; what is no frame is skipped."""

    def __init__(self) -> None:
        self._pending = b""

    def feed(self, received: bytes) -> list[tuple[int, int, bytes]]:
        """Return (kind, number, payload) of each frame that is complete now."""
        self._pending += received
        found: list[tuple[int, int, bytes]] = []
        while (at := self._pending.find(b"QB")) >= 0:
            self._pending = self._pending[at:]
            if len(self._pending) < HEAD.size:
                return found
            _, kind, number, length = HEAD.unpack_from(self._pending)
            end = HEAD.size + length
            if length <= LARGEST_PAYLOAD and len(self._pending) < end + 4:
                return found
            check = int.from_bytes(self._pending[end : end + 4], "little")
            if length > LARGEST_PAYLOAD or check != zlib.crc32(self._pending[:end]):
                self._pending = self._pending[1:]
                continue
            found.append((kind, number, self._pending[HEAD.size : end]))
            self._pending = self._pending[end + 4 :]
        self._pending = self._pending[-1:]
        return found


class FpgaBoardEmulator(Emulator):
    """One port; every request is answered at once."""

    ports: tuple[PortKind, ...] = (PortKind.STREAM,)
    default_listen: tuple[str, ...] = ("tcp://127.0.0.1:0",)

    def __init__(self, facts: Mapping[str, Setting], settings: Mapping[str, Setting]) -> None:
        self.held: dict[str, Setting] = dict(settings)
        self._facts = dict(facts)
        self._readers: dict[int, FrameReader] = {}

    @abstractmethod
    def obey(self, kind: int, payload: bytes, client: int, now_s: float) -> bytes:
        """Do what a request beyond settings asks; return the reply or raise `Refusal`."""

    @abstractmethod
    def check(self, name: str, value: Setting) -> None:
        """Raise `Refusal` for a value that a setting of this type cannot have."""

    def connected(self, port: int, client: int) -> bytes:
        """Note the client; boards greet nobody."""
        self._readers[client] = FrameReader()
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Forget a frame that was begun."""
        self._readers.pop(client, None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Answer the requests that are complete now."""
        reader = self._readers.setdefault(client, FrameReader())
        return [
            Output(0, client, self._answer(kind, number, payload, (client, now_s)))
            for kind, number, payload in reader.feed(received)
        ]

    def _answer(self, kind: int, number: int, payload: bytes, when: tuple[int, float]) -> bytes:
        try:
            if kind == IDENTIFY:
                reply = json.dumps(self._facts).encode()
            elif kind == READ:
                reply = json.dumps(self.held).encode()
            elif kind == WRITE:
                reply = self._write(payload)
            else:
                reply = self.obey(kind, payload, *when)
        except Refusal as refusal:
            return frame(REFUSED, number, str(refusal).encode())
        return frame(kind | 0x80, number, reply)

    def _write(self, payload: bytes) -> bytes:
        try:
            wanted = json.loads(payload)
        except ValueError as error:
            raise Refusal("this is no JSON") from error
        if not isinstance(wanted, dict):
            raise Refusal("this is no object")
        for name, value in wanted.items():
            is_a_value = isinstance(value, float | int | str) and not isinstance(value, bool)
            if name not in self.held or not is_a_value:
                raise Refusal(f"there is no setting {name} of this type")
            if isinstance(value, str) != isinstance(self.held[name], str):
                raise Refusal(f"{name} has another type")
            self.check(name, value)
        self.held |= wanted
        return json.dumps(self.held).encode()
