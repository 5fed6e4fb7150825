"""Faults by name and time: what goes wrong with an emulated instrument, and when.

Faults of the wire (`unplug` to `late-reply`) work with every kind; the server and `FaultyWire` do
them. Faults of the instrument are asked for by the emulators that have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sim_devices.emulators.emulator import Emulator, Outbox, Output, PortKind


class FaultKind(StrEnum):
    """What can go wrong."""

    UNPLUG = "unplug"
    """Clients are cut off and nobody gets in."""
    SILENT = "silent"
    """Commands are obeyed, nothing is answered."""
    SLOW = "slow"
    """Everything leaves 0.5 s later."""
    GARBAGE = "garbage"
    """One stray byte before the next output."""
    SPLIT = "split"
    """Every output leaves in two pieces, 20 ms apart."""
    MERGE = "merge"
    """Outputs are held back and leave in one piece each 50 ms."""
    LATE_REPLY = "late-reply"
    """The next output leaves 3 s later, after its request was given up; the rest waits for it."""
    LOST_COMPLETED = "lost-completed"
    """The next report that a motion is over is not sent."""
    OVERFLOW = "overflow"
    """The device loses stream data."""
    SLIP = "slip"
    """Two bytes are missing in the stream."""
    LATE_DATA = "late-data"
    """Stream data go on for a while after the stream was stopped."""
    UNASKED = "unasked"
    """The device says something that nobody asked for, as when somebody presses its button."""
    DEVICE_ERROR = "device-error"
    """The device reports an error of its own."""


# Seconds a fault lasts where nothing is said; faults not named here strike once.
LASTING_S = {
    FaultKind.UNPLUG: 1.0,
    FaultKind.SILENT: 2.0,
    FaultKind.SLOW: 5.0,
    FaultKind.SPLIT: 5.0,
    FaultKind.MERGE: 5.0,
}

SLOW_S = 0.5
SPLIT_GAP_S = 0.02
MERGE_S = 0.05
LATE_S = 3.0
STRAY_BYTE = b"\x9e"


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault: from `at_s` on, for `lasting_s`, or (None) once."""

    kind: FaultKind
    at_s: float
    lasting_s: float | None = None


def parse_fault(text: str) -> Fault:
    """Read `NAME@SECONDS` or `NAME@SECONDS+DURATION`."""
    name, at, when = text.partition("@")
    try:
        kind = FaultKind(name.strip().lower().replace("_", "-").replace(" ", "-"))
        start, _, duration = when.partition("+")
        at_s = float(start) if at else 0.0
        lasting_s = float(duration) if duration else LASTING_S.get(kind)
    except ValueError:
        known = ", ".join(FaultKind)
        raise ValueError(
            f"fault {text!r} is not NAME@SECONDS[+DURATION] with NAME one of {known}"
        ) from None
    return Fault(kind, at_s, lasting_s)


class Faults:
    """All faults of one instrument; a fault that strikes once is used up by `strikes`."""

    def __init__(self, faults: Iterable[Fault] = ()) -> None:
        self._faults = list(faults)

    def add(self, fault: Fault) -> None:
        """Let one more fault happen."""
        self._faults.append(fault)

    def clear(self) -> None:
        """Let nothing more happen."""
        self._faults.clear()

    def lasts(self, kind: FaultKind, now_s: float) -> bool:
        """Tell whether a fault with a duration is on now."""
        return any(
            fault.kind is kind
            and fault.lasting_s is not None
            and fault.at_s <= now_s < fault.at_s + fault.lasting_s
            for fault in list(self._faults)
        )

    def strikes(self, kind: FaultKind, now_s: float) -> bool:
        """Tell whether `kind` happens now, and use up a fault that happens once."""
        for fault in list(self._faults):
            if fault.kind is not kind or now_s < fault.at_s:
                continue
            if fault.lasting_s is None:
                self._faults.remove(fault)
                return True
            if now_s < fault.at_s + fault.lasting_s:
                return True
        return False


def faults_option(options: Mapping[str, object]) -> Faults:
    """Return the faults among an emulator's options, or none at all."""
    faults = options.get("faults")
    return faults if isinstance(faults, Faults) else Faults()


class FaultyWire(Emulator):
    """An emulator behind a wire that misbehaves as `faults` say.

    Bytes of a port keep their order whatever delays them: nothing overtakes what left before.
    Messages of a ZeroMQ port are neither split nor merged, as ZeroMQ would not.
    """

    def __init__(self, emulator: Emulator, faults: Faults) -> None:
        self.ports = emulator.ports
        self.default_listen = emulator.default_listen
        self._emulator = emulator
        self._faults = faults
        self._later = Outbox()
        self._free_s: dict[int, float] = {}
        self._release_s = 0.0

    def connected(self, port: int, client: int) -> bytes:
        """Pass on; greetings are not disturbed."""
        return self._emulator.connected(port, client)

    def disconnected(self, port: int, client: int) -> None:
        """Pass on."""
        self._emulator.disconnected(port, client)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Pass on, and disturb what comes back."""
        return self._disturb(self._emulator.feed(port, client, received, now_s), now_s)

    def tick(self, now_s: float) -> list[Output]:
        """Pass on, disturb what comes back, and add what was delayed until now."""
        return self._disturb(self._emulator.tick(now_s), now_s)

    def _disturb(self, outputs: list[Output], now_s: float) -> list[Output]:
        passed = self._joined(self._later.due(now_s))
        if self._faults.strikes(FaultKind.SILENT, now_s):
            return passed
        for output in outputs:
            for due_s, piece in self._pieces(output, now_s):
                leaves_s = max(due_s, self._free_s.get(output.port, 0.0))
                if leaves_s <= now_s:
                    passed.append(piece)
                else:
                    self._free_s[output.port] = leaves_s
                    self._later.put(leaves_s, piece)
        return passed

    def _pieces(self, output: Output, now_s: float) -> list[tuple[float, Output]]:
        """Return what becomes of an output, and when each piece wants to leave."""
        if self._faults.strikes(FaultKind.GARBAGE, now_s):
            output = replace(output, payload=STRAY_BYTE + output.payload)
        if self._faults.strikes(FaultKind.LATE_REPLY, now_s):
            return [(now_s + LATE_S, output)]
        if self._faults.strikes(FaultKind.SLOW, now_s):
            return [(now_s + SLOW_S, output)]
        if not self._is_stream(output):
            return [(now_s, output)]
        if self._faults.strikes(FaultKind.MERGE, now_s):
            if self._release_s <= now_s:
                self._release_s = now_s + MERGE_S
            return [(self._release_s, output)]
        if len(output.payload) > 1 and self._faults.strikes(FaultKind.SPLIT, now_s):
            middle = len(output.payload) // 2
            first, rest = output.payload[:middle], output.payload[middle:]
            return [
                (now_s, replace(output, payload=first)),
                (now_s + SPLIT_GAP_S, replace(output, payload=rest)),
            ]
        return [(now_s, output)]

    def _is_stream(self, output: Output) -> bool:
        return self.ports[output.port] is PortKind.STREAM

    def _joined(self, outputs: list[Output]) -> list[Output]:
        """Join neighbours of one stream: what leaves at the same time leaves in one piece."""
        joined: list[Output] = []
        for output in outputs:
            last = joined[-1] if joined and self._is_stream(output) else None
            if last is not None and replace(last, payload=b"") == replace(output, payload=b""):
                joined[-1] = replace(last, payload=last.payload + output.payload)
            else:
                joined.append(output)
        return joined
