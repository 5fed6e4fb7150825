"""The SRS SIM900 mainframe with two SIM928 voltage sources and a Quantum Opus bias module.

Source: SRS, "SIM900 Operation and Service Manual", remote commands. Host lines end with a line
feed, replies with CR LF, except `RAWN?`, which gives the bytes alone. What modules say waits in a
queue per slot.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from sim_devices.emulators.emulator import Output
from sim_devices.emulators.faults import FaultKind
from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.sim_modules import QuantumOpus, Sim928
from sim_devices.emulators.station import Station

# Modules answer over their own serial line, so not at once.
MODULE_S = 0.02
LARGEST_BLOCK = 128
LARGEST_QUEUE = 1 << 16
IDENTITY = "Stanford_Research_Systems,SIM900,s/n152741,ver3.6"
# What every SRS instrument answers; this one has no fault of its own to report.
_PLAIN = {"*IDN?": IDENTITY, "*OPC?": "1", "*ESR?": "0", "*STB?": "0", "LEXE?": "0", "LCME?": "0"}
_SEND = re.compile(r"""\s*(\d+)\s*,\s*(["'])(.*)\2\s*""", re.DOTALL)
# One command of a line: `;` parts them, but not within quotation marks.
_COMMANDS = re.compile(r"""(?:"[^"]*"|'[^']*'|[^;])+""")


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


@dataclass(slots=True)
class PassThrough:
    """A client that talks to a slot until it sends the escape string."""

    slot: int
    escape: bytes
    pending: bytearray = field(default_factory=bytearray)


class Sim900Emulator(LineEmulator):
    """Options: `faults` (device-error: a battery switchover in slot 1).

    Slots 1 and 2 hold SIM928s, slot 5 the Quantum Opus module.
    """

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(options or {})
        self._source = Sim928("s/n003587")
        self._slots = {
            1: Slot(self._source),
            2: Slot(Sim928("s/n003588")),
            5: Slot(QuantumOpus()),
        }
        self._through: dict[int, PassThrough] = {}

    def elapse(self, now_s: float) -> None:
        """Let the first source go over to its other battery when it is time."""
        if self.faults.strikes(FaultKind.DEVICE_ERROR, now_s):
            self._source.switch_battery()

    def disconnected(self, port: int, client: int) -> None:
        """End a pass-through together with its client."""
        super().disconnected(port, client)
        self._through.pop(client, None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the host's lines, or pass its bytes through up to the escape string."""
        outputs: list[Output] = []
        while received:
            if client in self._through:
                said, received = self._pass_through(client, received)
                outputs += [Output(0, client, said)] if said else []
                continue
            # Line by line, since what follows a CONN is for the module.
            end = received.find(b"\n") + 1 or len(received)
            line, received = received[:end], received[end:]
            outputs += super().feed(port, client, line, now_s)
        return outputs

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey the commands of one line of the host."""
        return b"".join(
            self._obey(single.strip(), client, now_s) for single in _COMMANDS.findall(command)
        )

    def _obey(self, command: str, client: int, now_s: float) -> bytes:
        name, _, rest = command.partition(" ")
        name = name.upper()
        if name in _PLAIN:
            return _line(_PLAIN[name])
        if name == "CTCR?":
            asked = as_number(rest)
            ready = sum(1 << number for number in self._slots)
            return _line(str(ready if asked is None else int(asked in self._slots)))
        if name in {"SNDT", "CONN"}:
            self._send(name, rest, client, now_s)
            return b""
        if name in {"NINP?", "RAWN?", "GETN?"}:
            return self._read(name, rest, now_s)
        if name in {"*DCL", "FLSH", "SRST", "*RST"}:
            chosen = as_number(rest)
            for number, slot in self._slots.items():
                if chosen in {None, number}:
                    slot.flush()
        return b""

    def _send(self, name: str, rest: str, client: int, now_s: float) -> None:
        parts = _SEND.fullmatch(rest)
        if parts is None or int(parts[1]) not in self._slots:
            return
        if name == "CONN":
            self._through[client] = PassThrough(int(parts[1]), parts[3].encode("latin-1"))
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

    def _pass_through(self, client: int, received: bytes) -> tuple[bytes, bytes]:
        """Return what the module says, and what is left for the mainframe after the escape."""
        through = self._through[client]
        before, found, after = (bytes(through.pending) + received).partition(through.escape)
        if found:
            del self._through[client]
        *lines, rest = re.split(rb"[\r\n]+", before)
        through.pending[:] = rest[-LARGEST_QUEUE:]
        module = self._slots[through.slot].module
        said = b"".join(module.answer(line.decode("latin-1")) for line in lines if line)
        return said, after


def _line(text: str) -> bytes:
    return text.encode() + b"\r\n"
