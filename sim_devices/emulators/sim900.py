"""The SRS SIM900 mainframe with two SIM928 voltage sources and a Quantum Opus bias module.

Source: SRS, "SIM900 Operation and Service Manual", remote commands. Host lines end with a line
feed, replies with CR LF, except `RAWN?`, which gives the bytes alone. What modules say waits in a
queue per slot.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from typing import Protocol

from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.sim_modules import QuantumOpus, Sim928
from sim_devices.emulators.station import Station

# Modules answer over their own serial line, so not at once.
MODULE_S = 0.02
LARGEST_BLOCK = 128
LARGEST_QUEUE = 1 << 16
IDENTITY = "Stanford_Research_Systems,SIM900,s/n152741,ver3.6"
_SEND = re.compile(r"""\s*(\d+)\s*,\s*(["'])(.*)\2\s*""", re.DOTALL)


class Module(Protocol):
    """What sits in a slot."""

    @abstractmethod
    def answer(self, text: str) -> bytes:
        """Obey one line and return everything the module says to it."""


class Slot:
    """A module and what it has said."""

    def __init__(self, module: Module) -> None:
        self.module = module
        self._waiting: list[tuple[float, bytes]] = []
        self._ready = bytearray()

    def hear(self, text: str, now_s: float) -> None:
        """Pass a line to the module."""
        said = self.module.answer(text)
        if said and len(self._ready) < LARGEST_QUEUE:
            self._waiting.append((now_s + MODULE_S, said))

    def size(self, now_s: float) -> int:
        """Return how many bytes can be taken."""
        while self._waiting and self._waiting[0][0] <= now_s:
            self._ready += self._waiting.pop(0)[1]
        return len(self._ready)

    def take(self, largest: int, now_s: float) -> bytes:
        """Take the oldest bytes."""
        self.size(now_s)
        taken = bytes(self._ready[:largest])
        del self._ready[:largest]
        return taken

    def flush(self) -> None:
        """Forget what was said."""
        self._waiting.clear()
        self._ready.clear()


class Sim900Emulator(LineEmulator):
    """Options: `faults`. Slots 1 and 2 hold SIM928s, slot 5 the Quantum Opus module."""

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(options or {})
        self._slots = {
            1: Slot(Sim928("s/n003587")),
            2: Slot(Sim928("s/n003588")),
            5: Slot(QuantumOpus()),
        }
        self._through: dict[int, tuple[int, str]] = {}

    def disconnected(self, port: int, client: int) -> None:
        """End a pass-through together with its client."""
        super().disconnected(port, client)
        self._through.pop(client, None)

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line of the host."""
        if client in self._through:
            return self._pass_through(command, client, now_s)
        name, _, rest = command.partition(" ")
        name = name.upper()
        if name == "*IDN?":
            return _line(IDENTITY)
        if name == "CTCR?":
            return _line(str(sum(1 << number for number in self._slots)))
        if name in {"SNDT", "CONN"}:
            self._send(name, rest, client, now_s)
            return b""
        if name in {"NINP?", "RAWN?", "GETN?"}:
            return self._read(name, rest, now_s)
        if name in {"*DCL", "FLSH", "SRST", "*RST"}:
            for slot in self._slots.values():
                slot.flush()
        return b""

    def _send(self, name: str, rest: str, client: int, now_s: float) -> None:
        parts = _SEND.fullmatch(rest)
        if parts is None or int(parts[1]) not in self._slots:
            return
        if name == "CONN":
            self._through[client] = (int(parts[1]), parts[3])
        else:
            self._slots[int(parts[1])].hear(parts[3], now_s)

    def _read(self, name: str, rest: str, now_s: float) -> bytes:
        numbers = [as_number(word) for word in rest.split(",")]
        slot = self._slots.get(int(numbers[0] or 0))
        if name == "NINP?":
            return _line(str(slot.size(now_s) if slot else 0))
        largest = int(numbers[1] or 0) if len(numbers) > 1 else LARGEST_BLOCK
        if name == "RAWN?":
            return slot.take(max(largest, 0), now_s) if slot else b""
        taken = slot.take(min(max(largest, 0), LARGEST_BLOCK), now_s) if slot else b""
        return f"#3{len(taken):03d}".encode() + taken + b"\r\n"

    def _pass_through(self, line: str, client: int, now_s: float) -> bytes:
        number, escape = self._through[client]
        before, found, _ = line.partition(escape)
        if found:
            del self._through[client]
        return self._slots[number].module.answer(before) if before else b""


def _line(text: str) -> bytes:
    return text.encode() + b"\r\n"
