"""The Qubitekk CC1 coincidence counter, firmware 2.2.

Source: the command set that its users' drivers know. Lines end with a line feed both ways; with
acknowledgement on, every command is echoed, and a query's reply follows.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.station import Station

FIRMWARE = "Firmware v2.2.0"
UNKNOWN = "Unknown command"
LARGEST_WINDOW_NS, LARGEST_DELAY_NS = 7, 14


class Cc1Emulator(LineEmulator):
    """Options: `rate_cps` (each input), `coincidence_cps`, `seed`, `faults`."""

    ends = b"\n"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        rate_cps = number_option(options, "rate_cps", 10_000.0)
        coincidence_cps = number_option(options, "coincidence_cps", 500.0)
        self._rates_cps = {"C1": rate_cps, "C2": rate_cps, "CO": coincidence_cps}
        self._rng = np.random.default_rng(int(number_option(options, "seed", 4)))
        self._counts = dict.fromkeys(self._rates_cps, 0)
        self._acknowledges = False
        self._switches = {"GATE": False, "SUBT": False}
        self._mode = "CONT"
        self._window_ns = 3
        self._delay_ns = 0
        self._dwell_s = 1.0
        self._next_s = self._dwell_s

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line."""
        wanted = " ".join(command.upper().lstrip(":").split())
        echo = command.encode("latin-1") + b"\n" if self._acknowledges else b""
        if wanted.endswith("?"):
            return echo + self._shown(wanted[:-1]).encode() + b"\n"
        if wanted in {"ACKN OF", "ACKN OFF", "ACKN ON"}:
            # The switch works from the next exchange on.
            self._acknowledges = wanted == "ACKN ON"
            return echo
        return echo if self._set(wanted, now_s) else echo + UNKNOWN.encode() + b"\n"

    def elapse(self, now_s: float) -> None:
        """Count what came during each dwell that is over."""
        if now_s < self._next_s:
            return
        self._next_s = max(self._next_s + self._dwell_s, now_s)
        means = {name: rate_cps * self._dwell_s for name, rate_cps in self._rates_cps.items()}
        # Coincidences are lost outside the delay at which the pairs meet, and grow accidentally.
        means["CO"] *= 1.0 if self._delay_ns <= self._window_ns else 0.1
        if not self._switches["SUBT"]:
            window_s = 2e-9 * (self._window_ns + 1)
            means["CO"] += self._rates_cps["C1"] * self._rates_cps["C2"] * window_s * self._dwell_s
        self._counts = {name: int(self._rng.poisson(mean)) for name, mean in means.items()}

    def _shown(self, name: str) -> str:
        if name.startswith("COUN:") and name[5:] in self._counts:
            return str(self._counts[name[5:]])
        shown = {
            "FIRM": FIRMWARE,
            "GATE": _on_off(self._switches["GATE"]),
            "SUBT": _on_off(self._switches["SUBT"]),
            "TRIG": f"MODE {self._mode}",
            "WIND": f"{self._window_ns} ns",
            "DELA": f"{self._delay_ns} ns",
            "DWEL": f"{self._dwell_s} s",
        }
        return shown.get(name, UNKNOWN)

    def _set(self, wanted: str, now_s: float) -> bool:
        if wanted == "CLEA":
            self._counts = dict.fromkeys(self._counts, 0)
        elif wanted in {"GATE:ON", "GATE:OFF", "SUBT:ON", "SUBT:OFF"}:
            self._switches[wanted[:4]] = wanted.endswith("ON")
        elif wanted in {"TRIG:MODE CONT", "TRIG:MODE STOP"}:
            self._mode = wanted[-4:]
        else:
            name, _, argument = wanted.partition(" ")
            value = as_number(argument)
            return value is not None and self._set_number(name, value, now_s)
        return True

    def _set_number(self, name: str, value: float, now_s: float) -> bool:
        if name == "WIND" and value in range(LARGEST_WINDOW_NS + 1):
            self._window_ns = int(value)
        elif name == "DELA" and value in range(0, LARGEST_DELAY_NS + 1, 2):
            self._delay_ns = int(value)
        elif name == "DWEL" and 0.0 < value <= 1000.0:
            self._dwell_s = value
            self._next_s = now_s + value
        else:
            return False
        return True


def _on_off(is_on: bool) -> str:
    return "ON" if is_on else "OFF"
