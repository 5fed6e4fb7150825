"""The Thorlabs LCC25 liquid-crystal controller.

Source: Thorlabs, "LCC25 User Guide", serial commands. Each command ends with CR and is echoed;
a query's value follows on a line of its own; the prompt `> ` without line end comes last.
"""

from __future__ import annotations

from collections.abc import Mapping

from sim_devices.emulators.line_emulator import LineEmulator, as_number
from sim_devices.emulators.station import Station

IDENTITY = "Thorlabs LCC25 ver 1.01"
UNKNOWN, INVALID = "CMD_NOT_DEFINED", "CMD_ARG_INVALID"
_VOLTS = frozenset({"volt1", "volt2", "min", "max", "increment"})
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


class Lcc25Emulator(LineEmulator):
    """Options: `faults`."""

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(options or {})
        self._settings = dict(_DEFAULTS)
        self._presets = {number: dict(_DEFAULTS) for number in range(1, 10)}

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Echo the command, obey it, show the value or what was wrong, and prompt."""
        value = self._obey(command.lower())
        line = f"{value}\r" if value else ""
        return f"{command}\r{line}> ".encode("latin-1")

    def _obey(self, command: str) -> str:
        if command == "*idn?":
            return IDENTITY
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
        self._settings[name] = round(value, 3) if name in _VOLTS else float(round(value))
        return ""
