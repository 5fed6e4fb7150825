"""The OZ Optics DD-100-MC, a motor-driven attenuator.

Source: maker's command list. Commands end with CR; a reply ends with the line `Done` and an empty
line. A move is answered when it is over.
"""

from __future__ import annotations

from collections.abc import Mapping

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.physics.beam import Beam

INSERTION_LOSS_DB, LARGEST_DB = 1.5, 60.0
HOME_S = 3.0
START_S, S_PER_DB = 0.1, 0.03
DONE = b"Done\r\n\r\n"
ERROR = b"Error!\r\n\r\n"
# The filter wheel's steps per dB, so that 10 dB are 1502 steps.
STEPS_PER_DB = 1502 / 8.5


class Dd100Emulator(LineEmulator):
    """Options: `home_s` (how long homing takes), `faults`."""

    def __init__(
        self, beam: Beam | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._home_s = number_option(options, "home_s", HOME_S)
        self._beam = Beam(INSERTION_LOSS_DB) if beam is None else beam
        self._beam.attenuation_db = INSERTION_LOSS_DB
        self._busy_until_s = 0.0

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line; the device obeys one after the other."""
        reply, span_s = self._obey(command.upper())
        self._busy_until_s = max(now_s, self._busy_until_s) + span_s
        if self._busy_until_s <= now_s:
            return reply
        self.reply_at(self._busy_until_s, client, reply)
        return b""

    def _obey(self, command: str) -> tuple[bytes, float]:
        """Return the reply and how long it takes."""
        if command == "CD":
            limits = f"IL:{INSERTION_LOSS_DB:.2f}\r\nMAX ATTEN:{LARGEST_DB:.2f}\r\n"
            return b"DD-100-MC\r\n" + limits.encode() + DONE, 0.0
        if command == "D":
            where = f"DPos:{self._steps()}\r\nATTEN:{self._beam.attenuation_db:.2f}\r\n"
            return where.encode() + DONE, 0.0
        if command in {"H", "RST"}:
            self._beam.attenuation_db = INSERTION_LOSS_DB
            return DONE, self._home_s if command == "H" else 0.0
        wanted_db = as_number(command[1:]) if command.startswith("A") else None
        if wanted_db is None or not INSERTION_LOSS_DB <= wanted_db <= LARGEST_DB:
            return ERROR, 0.0
        span_s = START_S + S_PER_DB * abs(wanted_db - self._beam.attenuation_db)
        self._beam.attenuation_db = round(wanted_db, 2)
        return f"Pos:{self._steps()}\r\n".encode() + DONE, span_s

    def _steps(self) -> int:
        return round((self._beam.attenuation_db - INSERTION_LOSS_DB) * STEPS_PER_DB)
