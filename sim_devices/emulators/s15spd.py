"""The S-Fifteen single-photon detector: bias, threshold, temperature loop and a counter.

Source: the maker's driver. Commands end with a line feed or `;`, replies with CR LF, settings are
silent. Counts grow with the bias above breakdown and with the temperature, as a diode's do.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.station import Station

BREAKDOWN_V = 185.0
SETTLING_S = 3.0
ROOM_C = 25.0

_RANGES = {
    "hvolt": (0.0, 250.0),
    "threshvolt": (-5.0, 5.0),
    "settemp": (-40.0, 40.0),
    "loop": (0.0, 1.0),
    "constp": (0.0, 1000.0),
    "consti": (0.0, 1000.0),
    "pvolt": (0.0, 12.0),
    "delay": (0.0, 65535.0),
    "time": (1.0, 65535.0),
}
_WHOLE = frozenset({"loop", "delay", "time"})


class S15SpdEmulator(LineEmulator):
    """Options: `rate_cps` (at 5 V above breakdown), `seed`, `faults`; `detector` of the station.

    Its own counter knows nothing of the station's light.
    """

    ends = b";\n"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._rate_cps = number_option(options, "rate_cps", 1200.0)
        self._rng = np.random.default_rng(int(number_option(options, "seed", 3)))
        self._settings = {
            "hvolt": 190.0,
            "threshvolt": 0.1,
            "settemp": -20.0,
            "loop": 1.0,
            "constp": 0.1,
            "consti": 0.01,
            "pvolt": 0.0,
            "delay": 200.0,
            "time": 1000.0,
        }
        self._detector = int(number_option(options, "detector", 0))
        self._station = station if self._detector else None
        self._show()
        self._temperature_C = -20.0
        self._last_s = 0.0

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey a command; counts come after the integration time."""
        name, *arguments = command.lower().split()
        if name == "*idn?":
            return b"SPD S-Fifteen Instruments, emulated\r\n"
        if name == "save":
            return b"OK\r\n"
        if name == "temp?":
            return f"{self._temperature_C:.2f}\r\n".encode()
        if name == "counts?":
            span_s = self._settings["time"] / 1000.0
            count = int(self._rng.poisson(self._counts_per_s() * span_s))
            self.reply_at(now_s + span_s, client, f"{count}\r\n".encode())
            return b""
        if name.endswith("?") and name[:-1] in self._settings:
            return self._shown(name[:-1])
        if name in self._settings and len(arguments) == 1:
            self._set(name, as_number(arguments[0]))
        return b""

    def elapse(self, now_s: float) -> None:
        """Let the chip's temperature follow its loop."""
        step_s, self._last_s = now_s - self._last_s, now_s
        target_C = self._settings["settemp"] if self._settings["loop"] else ROOM_C
        if not self._settings["loop"]:
            target_C -= 5.0 * self._settings["pvolt"]
        approach = 1.0 - math.exp(-max(step_s, 0.0) / SETTLING_S)
        self._temperature_C += approach * (target_C - self._temperature_C)

    def _set(self, name: str, value: float | None) -> None:
        low, high = _RANGES[name]
        if value is not None and low <= value <= high:
            self._settings[name] = float(int(value)) if name in _WHOLE else value
            self._show()

    def _show(self) -> None:
        """Let the station's detector have this bias and this level."""
        if self._station is not None:
            self._station.set_excess(self._detector, self._excess_v / 5.0)
            self._station.set_threshold(self._detector, 1000 * self._settings["threshvolt"])

    @property
    def _excess_v(self) -> float:
        return max(self._settings["hvolt"] - BREAKDOWN_V, 0.0)

    def _shown(self, name: str) -> bytes:
        value = self._settings[name]
        return f"{int(value) if name in _WHOLE else value}\r\n".encode()

    def _counts_per_s(self) -> float:
        # Dark counts double about every 10 K.
        thermal = math.pow(2.0, (self._temperature_C + 20.0) / 10.0)
        return self._rate_cps * self._excess_v / 5.0 * thermal
