"""The Thorlabs LCC25 liquid-crystal controller.

Source: Thorlabs, "LCC25 User Guide", serial commands. Each command ends with CR and is echoed;
a query's value follows on a line of its own; the prompt `> ` without line end comes last. The curve
of retardance over voltage is that of a typical full-wave crystal.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.station import RandomStation, Station

IDENTITY = "Thorlabs LCC25 ver 1.01"
UNKNOWN, INVALID = "CMD_NOT_DEFINED", "CMD_ARG_INVALID"
# Volts rms and retardance in half waves: flat below its threshold, steepest near 2 V.
CURVE_V = (0.0, 1.0, 1.5, 2.0, 2.5, 3.5, 5.0, 7.0, 10.0, 25.0)
CURVE_HALF_WAVES = (2.2, 2.15, 1.8, 1.3, 0.95, 0.6, 0.36, 0.24, 0.16, 0.06)
_VOLTS = frozenset({"volt1", "volt2", "min", "max", "increment"})
_CHOICES = frozenset({"mode", "enable", "extern", "remote"})
_RANGES = {
    "volt1": (0.0, 25.0),
    "volt2": (0.0, 25.0),
    "mode": (0.0, 2.0),
    "freq": (5.0, 150.0),
    "enable": (0.0, 1.0),
    "extern": (0.0, 1.0),
    "remote": (0.0, 1.0),
    "min": (0.0, 25.0),
    "max": (0.0, 25.0),
    "dwell": (1.0, 60000.0),
    "increment": (0.001, 25.0),
}
_DEFAULTS = {
    "volt1": 0.0,
    "volt2": 0.0,
    "mode": 1.0,
    "freq": 60.0,
    "enable": 0.0,
    "extern": 0.0,
    "remote": 1.0,
    "min": 0.0,
    "max": 25.0,
    "dwell": 500.0,
    "increment": 0.1,
}
# A line without a command is echoed and prompted for like any.
_PLAIN = {"*idn?": IDENTITY, "": ""}


class Lcc25Emulator(LineEmulator):
    """Options: `axis` (1, 2, …, which crystal of the station), `angle_deg`, `faults`.

    Crystals stand at 0 and 45 degrees in turn where nothing else is said.
    """

    ends = b"\r"
    hears_empty_lines = True

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._station = RandomStation((0.0,) * 4, 0) if station is None else station
        self._axis = int(number_option(options, "axis", 1))
        usual_deg = 45.0 * ((self._axis - 1) % 2)
        self._angle_deg = number_option(options, "angle_deg", usual_deg)
        self._settings = dict(_DEFAULTS)
        self._presets = {number: dict(_DEFAULTS) for number in range(1, 10)}
        self._drive(0.0)

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Echo the command, obey it, show the value or what was wrong, and prompt."""
        value = self._obey(command.lower())
        self._drive(now_s)
        line = f"{value}\r" if value else ""
        return f"{command}\r{line}> ".encode("latin-1")

    def elapse(self, now_s: float) -> None:
        """Modulate in mode 0."""
        if self._settings["mode"] == 0:
            self._drive(now_s)

    def _drive(self, now_s: float) -> None:
        """Give the crystal the voltage that is put out now."""
        held, mode = self._settings, self._settings["mode"]
        is_second = mode == 2 or (mode == 0 and int(2 * held["freq"] * now_s) % 2 == 1)
        volts = held["volt2" if is_second else "volt1"] if held["enable"] else 0.0
        half_waves = float(np.interp(volts, CURVE_V, CURVE_HALF_WAVES))
        self._station.set_retarder(self._axis, math.pi * half_waves, self._angle_deg)

    def _obey(self, command: str) -> str:
        if command in _PLAIN:
            return _PLAIN[command]
        name, equals, argument = command.partition("=")
        if equals:
            return self._set(name.strip(), as_number(argument))
        if command.endswith("?"):
            return self._shown(command[:-1].strip())
        if command == "default":
            self._settings = dict(_DEFAULTS)
        elif command not in {"save", "test"}:
            return UNKNOWN
        return ""

    def _shown(self, name: str) -> str:
        if name not in self._settings:
            return UNKNOWN
        value = self._settings[name]
        return f"{value:.3f}" if name in _VOLTS else f"{value:g}"

    def _set(self, name: str, value: float | None) -> str:
        if name in {"set", "get"}:
            if value not in self._presets:
                return INVALID
            if name == "set":
                self._presets[int(value)] = dict(self._settings)
            else:
                self._settings = dict(self._presets[int(value)])
            return ""
        if name not in _RANGES:
            return UNKNOWN
        low, high = _RANGES[name]
        if value is None or not low <= value <= high:
            return INVALID
        if name in _CHOICES and not value.is_integer():
            return INVALID
        self._settings[name] = round(value, 3) if name in _VOLTS else float(round(value))
        return ""
