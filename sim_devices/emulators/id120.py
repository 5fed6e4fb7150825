"""The ID Quantique ID120 visible single-photon detector.

Source: its users' driver. Lines end with a line feed; values are whole numbers in small units,
which that driver takes bare; some firmware puts the unit behind.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from sim_devices.emulators.emulator import number_option
from sim_devices.emulators.line_emulator import as_number
from sim_devices.emulators.scpi import OUT_OF_RANGE, ScpiEmulator
from sim_devices.emulators.station import Station

BREAKDOWN_UV = 140_000_000

# Lowest, highest, at start, unit.
_NUMBERS = {
    "BIAS:VOLTAGE": (0, 250_000_000, 160_000_000, "uV"),
    "DEADTIME:TIME": (40, 1_000_000, 1000, "ns"),
    "THRESHOLD:VOLTAGE": (0, 2_000_000, 150_000, "uV"),
    "REG:TEMP_SET_POINT": (-50_000, 20_000, -40_000, "mC"),
    "COUNTERS:INTEGRATION_TIME": (1, 100_000, 1000, "ms"),
}
_CAPABILITIES = {
    "BIAS:CAPABILITY?": "BIAS:VOLTAGE",
    "DEADTIME:CAPABILITY?": "DEADTIME:TIME",
    "THRESHOLD:CAPABILITY?": "THRESHOLD:VOLTAGE",
    "REG:TEMP_SET_POINT_CAPABILITY?": "REG:TEMP_SET_POINT",
    "COUNTERS:INTEGRATION_TIME_CAPABILITY?": "COUNTERS:INTEGRATION_TIME",
}
ROOM_MC = 20_000
_ABOUT = {
    "INFO:PRODUCT_NAME?": "ID120",
    "INFO:PRODUCT_SERIAL_NUMBER?": "0000001",
    "INFO:VENDOR_NAME?": "ID Quantique",
    "INFO:FIRMWARE_VERSION?": "1.0",
    "INFO:BIAS_BREAKDOWN_VOLTAGE?": str(BREAKDOWN_UV),
    "BIAS:ERROR_STATUS?": "FALSE",
}
UNSAID = "NONE"


class Id120Emulator(ScpiEmulator):
    """Options: `rate_cps` (at the usual bias), `units` (1: behind numbers), `seed`, `faults`.

    `detector` is that of the station which it stands for.

    Its own counter knows nothing of the station's light.
    """

    identity = "ID Quantique,ID120,0000001,1.0"

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        super().__init__(options)
        self._rate_cps = number_option(options, "rate_cps", 2000.0)
        self._rng = np.random.default_rng(int(number_option(options, "seed", 6)))
        self._has_units = bool(number_option(options, "units", 0.0))
        self._detector = int(number_option(options, "detector", 0))
        self._station = station if self._detector else None
        self.reset()

    def reset(self) -> None:
        """Take the usual settings."""
        self._numbers = {name: entry[2] for name, entry in _NUMBERS.items()}
        self._is_cooled = True
        self._show()

    def _one(self, single: str, now_s: float) -> str:
        # Its words are not shortened, so they are taken before SCPI's rules.
        header, _, argument = single.partition(" ")
        name = header.upper().lstrip(":")
        if name.removesuffix("?") in self._numbers:
            return self._number(name, argument)
        if name in _CAPABILITIES:
            low, high, _, unit = _NUMBERS[_CAPABILITIES[name]]
            return f"{low},{high},{unit}"
        if name in _ABOUT or (name.startswith("INFO:") and name.endswith("?")):
            return _ABOUT.get(name, UNSAID)
        return super()._one(single, now_s)

    def obey(self, header: str, argument: str, now_s: float) -> str | None:
        """Obey what is not a number."""
        if header == "REG:RUN" and argument.upper() in {"TRUE", "FALSE"}:
            self._is_cooled = argument.upper() == "TRUE"
            return ""
        if header in {"REG:STAT?", "REG:RUN?"}:
            return "TRUE" if self._is_cooled else "FALSE"
        if header in {"COUN:DETECTION_FREQ?", "COUNTERS:DETECTION_FREQ?"}:
            return self._with_unit(self._count(1000), "Hz")
        if header == "REG:MEASURED_TEMP?":
            held_mc = self._numbers["REG:TEMP_SET_POINT"] if self._is_cooled else ROOM_MC
            return self._with_unit(held_mc, "mC")
        if header in {"COUN:DETECTION_COUNT?", "COUNTERS:DETECTION_COUNT?"}:
            return str(self._count(self._numbers["COUNTERS:INTEGRATION_TIME"]))
        return None

    def _number(self, name: str, argument: str) -> str:
        key = name.removesuffix("?")
        low, high, _, unit = _NUMBERS[key]
        if name.endswith("?"):
            return self._with_unit(self._numbers[key], unit)
        value = as_number(argument.strip())
        if value is None:
            return self.complain_of(argument.strip())
        if not low <= value <= high:
            return self.complain(OUT_OF_RANGE)
        self._numbers[key] = int(value)
        self._show()
        return ""

    def _show(self) -> None:
        """Let the station's detector have this bias and this level."""
        if self._station is not None:
            self._station.set_excess(self._detector, self._excess)
            self._station.set_threshold(self._detector, self._numbers["THRESHOLD:VOLTAGE"] / 1000)

    @property
    def _excess(self) -> float:
        return max(self._numbers["BIAS:VOLTAGE"] - BREAKDOWN_UV, 0) / 20_000_000

    def _with_unit(self, number: int, unit: str) -> str:
        return f"{number} {unit}" if self._has_units else str(number)

    def _count(self, span_ms: int) -> int:
        warm = 1.0 if self._is_cooled else 50.0
        return int(self._rng.poisson(self._rate_cps * self._excess * warm * span_ms / 1000.0))
