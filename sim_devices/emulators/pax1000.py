"""The Thorlabs PAX1000 polarimeter.

Source: the maker's command list. A measurement is 13 numbers: revolutions, time stamp, mode, flags,
..., azimuth (rad), ellipticity (rad), degree of polarization, power (W).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.line_emulator import as_number
from sim_devices.emulators.scpi import OUT_OF_RANGE, ScpiEmulator
from sim_devices.emulators.station import Station

# The wave plate needs this time to turn steadily; until then a flag is set.
LOCK_S = 2.0
NOT_LOCKED = 1
NOISE_RAD = 1e-3
_NUMBERS = {
    "SENS:CALC": (1.0, 9.0, 1.0),
    "SENS:CORR:WAV": (900e-9, 1700e-9, 1.55e-6),
    "INP:ROT:STAT": (0.0, 1.0, 0.0),
    "INP:ROT:VEL": (20.0, 200.0, 50.0),
    "SENS:POW:RANG:AUTO": (0.0, 1.0, 1.0),
}
# SCPI 1999, section 7.3: a switch takes these words, too, and answers by a number.
_BOOLEANS = {"ON": "1", "OFF": "0"}
_SWITCHES = frozenset({"INP:ROT:STAT", "SENS:POW:RANG:AUTO"})
_WHOLE = _SWITCHES | {"SENS:CALC"}


class Pax1000Emulator(ScpiEmulator):
    """Options: `azimuth_rad`, `ellipticity_rad`, `dop`, `power_W`, `seed`, `faults`."""

    identity = "THORLABS,PAX1000IR2/M,M00000001,1.1.0"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._azimuth_rad = number_option(options, "azimuth_rad", 0.3)
        self._ellipticity_rad = number_option(options, "ellipticity_rad", 0.1)
        self._dop = number_option(options, "dop", 0.98)
        self._power_W = number_option(options, "power_W", 1e-6)
        self._rng = np.random.default_rng(int(number_option(options, "seed", 7)))
        self._locked_s = 0.0
        self.reset()

    def reset(self) -> None:
        """Take the usual settings."""
        self._numbers = {name: entry[2] for name, entry in _NUMBERS.items()}

    def obey(self, header: str, argument: str, now_s: float) -> str | None:
        """Obey one command."""
        name = header.removesuffix("?")
        name = "SENS:CALC" if name in {"SENS:CALC:MODE", "SENS:CALC:MOD"} else name
        if header in {"SENS:DATA:PRIM:LAT?", "SENS:DATA:LAT?"}:
            return self._measured(now_s)
        if name not in _NUMBERS:
            return None
        low, high, _ = _NUMBERS[name]
        ends = {"MIN": f"{low}", "MAX": f"{high}"}
        if header.endswith("?"):
            value = float(ends.get(argument.upper(), self._numbers[name]))
            return str(int(value)) if name in _WHOLE else f"{value:.6E}"
        words = _BOOLEANS if name in _SWITCHES else ends
        value_given = as_number(words.get(argument.upper(), argument))
        if value_given is None:
            return self.complain_of(argument)
        if not low <= value_given <= high:
            return self.complain(OUT_OF_RANGE)
        if name == "INP:ROT:STAT" and value_given and not self._numbers[name]:
            self._locked_s = now_s + LOCK_S
        self._numbers[name] = value_given
        return ""

    def _measured(self, now_s: float) -> str:
        is_ready = self._numbers["INP:ROT:STAT"] and now_s >= self._locked_s
        azimuth, ellipticity = self._rng.normal(0.0, NOISE_RAD, 2).tolist()
        revolutions = int(now_s * self._numbers["INP:ROT:VEL"])
        words = [
            str(revolutions),
            str(int(now_s * 1000)),
            str(int(self._numbers["SENS:CALC"])),
            str(0 if is_ready else NOT_LOCKED),
            *["0"] * 5,
            f"{self._azimuth_rad + azimuth:.6E}",
            f"{self._ellipticity_rad + ellipticity:.6E}",
            f"{self._dop:.6E}",
            f"{self._power_W:.6E}",
        ]
        return ",".join(words)
