"""The Thorlabs PM100D power meter with a germanium head (S154C).

Source: Thorlabs, "PM100D Operation Manual", SCPI commands. A wrong setting is silent: it only
shows in the error queue.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.faults import FaultKind
from sim_devices.emulators.line_emulator import as_number
from sim_devices.emulators.scpi import OUT_OF_RANGE, ScpiEmulator
from sim_devices.physics.beam import Beam

SHORTEST_NM, LONGEST_NM = 800.0, 1700.0
SMALLEST_RANGE_W, LARGEST_RANGE_W = 1e-9, 2e-2
OVERFLOW = "9.900000E+37"
RESPONSIVITY_A_W = 1.0
# What each average beyond the first takes.
AVERAGE_S = 0.3e-3
SENSOR = "S154C,00000001,01-JAN-2024,1,2,289"
_LIMITS = {
    "SENS:CORR:WAV": (SHORTEST_NM, LONGEST_NM),
    "SENS:POW:RANG": (SMALLEST_RANGE_W, LARGEST_RANGE_W),
    "SENS:AVER:COUN": (1.0, 10_000.0),
    "SENS:CORR:LOSS": (-60.0, 60.0),
}


# Nodes that may be left out, and the subsystems of SENSe, which may be left out itself.
_OPTIONAL = re.compile(r":(SCAL|DC|UPP|INP:MAGN)\b")
_OF_SENSE = re.compile(r"(CORR|POW|AVER)\b")
_QUANTITY = re.compile(r"([+-]?[\d.]+(?:E[+-]?\d+)?)\s*(NM|[MUN]?W|DB)?")
_UNITS = {"MW": 1e-3, "UW": 1e-6, "NW": 1e-9}


class Pm100Emulator(ScpiEmulator):
    """Options: `power_W` (what falls on the head that stands alone), `seed`, `faults` (overflow).

    In a beam of the bench `tap_db` is by how much brighter the head's light is than the fibre's.
    """

    identity = "THORLABS,PM100D,P0000001,2.4.0"
    signed_errors = True

    def __init__(
        self, beam: Beam | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        alone_W = number_option(options, "power_W", 1.234560e-6)
        self._beam = Beam(0.0, lambda: alone_W) if beam is None else beam
        self._gain = 10 ** (number_option(options, "tap_db", 0.0) / 10)
        self._rng = np.random.default_rng(int(number_option(options, "seed", 5)))
        self._last = f"{self._power_W:.6E}"
        self._measured_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Take the usual settings."""
        self._numbers = {
            "SENS:CORR:WAV": 1550.0,
            "SENS:POW:RANG": 2e-3,
            "SENS:AVER:COUN": 1.0,
            "SENS:CORR:LOSS": 0.0,
        }
        self._auto_range = True
        self._unit = "W"

    @property
    def _power_W(self) -> float:  # noqa: N802 - the unit's letter
        return self._beam.power_w * self._gain

    def obey(self, header: str, argument: str, now_s: float) -> str | None:
        """Obey one command."""
        name = _full(header.removesuffix("?"))
        is_query = header.endswith("?")
        if name in self._numbers:
            return self._number(name, argument.upper(), is_query=is_query)
        if is_query and name in {"MEAS", "MEAS:POW", "READ", "MEAS:CURR", "FETC"}:
            return self._reading(name, now_s)
        if name == "SENS:POW:RANG:AUTO":
            return self._set_auto(argument.upper(), is_query=is_query)
        if name == "SENS:POW:UNIT":
            return self._set_unit(argument.upper(), is_query=is_query)
        return self._rest(name, now_s, is_query=is_query)

    def _rest(self, name: str, now_s: float, *, is_query: bool) -> str | None:
        if name == "SYST:SENS:IDN" and is_query:
            return SENSOR
        if name == "SENS:CORR:COLL:ZERO:STAT" and is_query:
            return "0"
        if name == "CONF" and is_query:
            return "POW"
        if name == "INIT":
            self._last = self._measured(now_s)
            return ""
        silent = {"CONF", "CONF:POW", "ABOR", "SENS:CORR:COLL:ZERO:INIT", "SENS:CORR:COLL:ZERO"}
        return "" if name in silent and not is_query else None

    def ready_at(self, now_s: float) -> float:
        """Return when the last measurement is over."""
        return max(now_s, self._measured_s)

    def _reading(self, name: str, now_s: float) -> str:
        if name == "MEAS:CURR":
            return f"{self._power_W * RESPONSIVITY_A_W:.6E}"
        if name != "FETC":
            self._last = self._measured(now_s)
        return self._last

    def _measured(self, now_s: float) -> str:
        if self.faults.strikes(FaultKind.OVERFLOW, now_s):
            return OVERFLOW
        self._measured_s = now_s + AVERAGE_S * (self._numbers["SENS:AVER:COUN"] - 1)
        noise_W = 1e-3 * self._power_W * float(self._rng.standard_normal())
        power_W = self._power_W + noise_W / math.sqrt(self._numbers["SENS:AVER:COUN"])
        if not self._auto_range and power_W > self._numbers["SENS:POW:RANG"]:
            return OVERFLOW
        if self._unit == "DBM":
            return f"{10.0 * math.log10(max(power_W, 1e-15) / 1e-3):.6E}"
        return f"{power_W:.6E}"

    def _number(self, name: str, argument: str, *, is_query: bool) -> str:
        low, high = _LIMITS[name]
        named = {"MIN": low, "MINIMUM": low, "MAX": high, "MAXIMUM": high}
        value = named.get(argument, _quantity(argument))
        if is_query:
            shown = self._numbers[name] if value is None else value
            return str(int(shown)) if name == "SENS:AVER:COUN" else f"{shown:.6E}"
        if value is None:
            return self.complain_of(argument)
        if not low <= value <= high:
            return self.complain(OUT_OF_RANGE)
        self._numbers[name] = value
        self._auto_range = self._auto_range and name != "SENS:POW:RANG"
        return ""

    def _set_auto(self, argument: str, *, is_query: bool) -> str:
        if is_query:
            return str(int(self._auto_range))
        if argument not in {"0", "1", "ON", "OFF"}:
            return self.complain_of(argument)
        self._auto_range = argument in {"1", "ON"}
        return ""

    def _set_unit(self, argument: str, *, is_query: bool) -> str:
        if is_query:
            return self._unit
        if argument not in {"W", "DBM"}:
            return self.complain_of(argument)
        self._unit = argument
        return ""


def _full(name: str) -> str:
    """Return a header without the nodes that say nothing, with SENSe where it was left out."""
    name = _OPTIONAL.sub("", name)
    name = f"SENS:{name}" if _OF_SENSE.match(name) else name
    return f"{name}:COUN" if name == "SENS:AVER" else name


def _quantity(argument: str) -> float | None:
    """Return a number with or without its unit in the device's own: nm, W or dB."""
    found = _QUANTITY.fullmatch(argument)
    value = None if found is None else as_number(found[1])
    return None if found is None or value is None else value * _UNITS.get(found[2], 1.0)
