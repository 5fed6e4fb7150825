"""Emulator of the VOA-1, written from its manual and not from its driver."""

from __future__ import annotations

from collections.abc import Mapping

from sim_devices.emulators.faults import FaultKind
from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.station import Station


class Voa1Emulator(LineEmulator):
    ends = b"\n"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(options or {})
        self._attenuation_db = 0.0

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        name, _, argument = command.partition(" ")
        if name == "ID?":
            return b"VOA-1 00042\n"
        if name == "ATT?":
            return b"ATT %.2f\n" % self._attenuation_db
        if self.faults.strikes(FaultKind.DEVICE_ERROR, now_s):
            return b"ERR motor\n"
        wanted_db = as_number(argument)
        if name != "ATT" or wanted_db is None or not 0 <= wanted_db <= 60:
            return b"ERR what?\n"
        self._attenuation_db = wanted_db
        return b"OK\n"
