"""Faults by name and time: what goes wrong with an emulated instrument, and when.

Faults of the wire (`unplug` to `late-reply`) work with every kind; the server and `FaultyWire` do
them. Faults of the instrument are asked for by the emulators that have them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum

from sim_devices.emulators.emulator import Emulator, Outbox, Output


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
    """The next output leaves 3 s later, after its request was given up."""
    LOST_COMPLETED = "lost-completed"
    """The next report that a motion is over is not sent."""
    OVERFLOW = "overflow"
    """The device loses stream data."""
    SLIP = "slip"
    """Two bytes are missing in the stream."""
    LATE_DATA = "late-data"
    """Stream data go on for a while after the stream was stopped."""
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

    def strikes(self, kind: FaultKind, now_s: float) -> bool:
        """Tell whether `kind` happens now, and use up a fault that happens once."""
        for fault in self._faults:
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
    """An emulator behind a wire that misbehaves as `faults` say."""

    def __init__(self, emulator: Emulator, faults: Faults) -> None:
        self.ports = emulator.ports
        self.default_listen = emulator.default_listen
        self._emulator = emulator
        self._faults = faults
        self._later = Outbox()
        self._held: list[Output] = []
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
        fresh = self._disturb(self._emulator.tick(now_s), now_s)
        return self._later.due(now_s) + self._released(now_s) + fresh

    def _disturb(self, outputs: list[Output], now_s: float) -> list[Output]:
        if self._faults.strikes(FaultKind.SILENT, now_s):
            return []
        passed: list[Output] = []
        for output in outputs:
            sent = output
            if self._faults.strikes(FaultKind.GARBAGE, now_s):
                sent = replace(output, payload=STRAY_BYTE + output.payload)
            if self._faults.strikes(FaultKind.LATE_REPLY, now_s):
                self._later.put(now_s + LATE_S, sent)
            elif self._faults.strikes(FaultKind.SLOW, now_s):
                self._later.put(now_s + SLOW_S, sent)
            elif self._faults.strikes(FaultKind.MERGE, now_s):
                self._hold(sent, now_s)
            elif len(sent.payload) > 1 and self._faults.strikes(FaultKind.SPLIT, now_s):
                middle = len(sent.payload) // 2
                passed.append(replace(sent, payload=sent.payload[:middle]))
                rest = replace(sent, payload=sent.payload[middle:])
                self._later.put(now_s + SPLIT_GAP_S, rest)
            else:
                passed.append(sent)
        return passed

    def _hold(self, output: Output, now_s: float) -> None:
        if not self._held:
            self._release_s = now_s + MERGE_S
        self._held.append(output)

    def _released(self, now_s: float) -> list[Output]:
        if not self._held or now_s < self._release_s:
            return []
        merged: dict[tuple[int, int | None], Output] = {}
        for output in self._held:
            key = (output.port, output.client)
            before = merged[key].payload if key in merged else b""
            merged[key] = replace(output, payload=before + output.payload)
        self._held.clear()
        return list(merged.values())
