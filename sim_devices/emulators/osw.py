"""The Thorlabs OSW12/OSW22 MEMS switch.

Source: Thorlabs, "OSW Series Operating Manual". Lines end with a line feed, replies with CR LF;
setting is silent.
"""

from __future__ import annotations

from collections.abc import Mapping

from sim_devices.emulators.emulator import text_option
from sim_devices.emulators.line_emulator import LineEmulator
from sim_devices.emulators.station import Station

POSITIONS = frozenset({"1", "2"})


class OswEmulator(LineEmulator):
    """Options: `model` (OSW12-1310E), `faults`."""

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._model = text_option(options, "model", "OSW12-1310E")
        self._position = "1"

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line."""
        name, *arguments = command.upper().split()
        shown = {
            "S?": self._position,
            "T?": "2" if self._model.startswith("OSW22") else "1",
            "I?": f"{self._model} optical switch",
        }
        if name in shown:
            return shown[name].encode() + b"\r\n"
        if name == "S" and len(arguments) == 1 and arguments[0] in POSITIONS:
            self._position = arguments[0]
        return b""
