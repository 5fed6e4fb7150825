"""The OZ Optics EPC-400, four fibre squeezers driven by voltages.

Source: maker's command list. Every reply ends with a line `Done`; settings send an empty line
before it; what is not understood is answered by `Error!` alone. The squeezers stand at 0, 45, 0 and
45 degrees; their half-wave voltage is a typical one (pieces have 2.5 to 3.5 V).
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from sim_devices.emulators.line_emulator import LineEmulator
from sim_devices.emulators.station import RandomStation, Station

N_CHANNELS = 4
LARGEST_MV = 5000
LARGEST_HZ = 100
HALF_WAVE_MV = 3000
ANGLES_DEG = (0.0, 45.0, 0.0, 45.0)
_SET_VOLTAGE = re.compile(r"V([1-4])\s*,\s*([+-]?\d{1,5})")
_SET_PRESET_VOLTAGE = re.compile(r"V([ZHL])([1-4])")
_SET_FREQUENCY = re.compile(r"F([1-4])\s*,\s*(\d{1,4})")
_FIXED_MV = {"Z": 0, "H": LARGEST_MV, "L": -LARGEST_MV}
_WAVEFORMS = {"WF1": "Sine", "WF2": "Triangle"}


class Epc400Emulator(LineEmulator):
    """Options: `faults`."""

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        super().__init__(options or {})
        self._station = RandomStation((0.0,) * 4, 0) if station is None else station
        self._restart()

    def answer(self, command: str, client: int, now_s: float) -> bytes:
        """Obey one line."""
        wanted = command.upper()
        content = self._shown(wanted)
        if content is None:
            content = "" if self._set(wanted) else None
        self._squeeze(now_s)
        return b"Error!\r\n" if content is None else content.encode() + b"\r\nDone\r\n"

    def elapse(self, now_s: float) -> None:
        """Scramble in AC mode."""
        if self._mode == "AC":
            self._squeeze(now_s)

    def _squeeze(self, now_s: float) -> None:
        """Squeeze the fibre as the voltages are now."""
        for place, angle_deg in enumerate(ANGLES_DEG, 1):
            retardance_rad = math.pi * self._millivolt(place - 1, now_s) / HALF_WAVE_MV
            self._station.set_retarder(place, retardance_rad, angle_deg)

    def _millivolt(self, number: int, now_s: float) -> float:
        if self._mode == "DC" or (self._steady_in_ac and self._kinds[number] == "V"):
            return self._mV[number]
        wave = math.sin(2 * math.pi * self._hz[number] * now_s)
        if self._waveform == "Triangle":
            wave = 2 / math.pi * math.asin(wave)
        return LARGEST_MV * wave

    def _restart(self) -> None:
        self._mV = [0] * N_CHANNELS
        self._hz = [7, 17, 37, 71]
        self._mode = "DC"
        self._waveform = "Sine"
        # With steady voltages allowed in AC mode each channel is steady (V) or scrambles (F).
        self._steady_in_ac = False
        self._kinds = ["V"] * N_CHANNELS

    def _shown(self, wanted: str) -> str | None:
        voltages = (f"CH{n} {mV:+05d}" for n, mV in enumerate(self._mV, 1))
        frequencies = (f"CH{n} {hz:03d}" for n, hz in enumerate(self._hz, 1))
        kinds = (f"CH{n}-{kind}" for n, kind in enumerate(self._kinds, 1))
        switched = "enabled" if self._steady_in_ac else "disabled"
        shown = {
            "V?": f"Voltage(mV): {' '.join(voltages)}",
            "F?": f"Frequency(Hz): {'  '.join(frequencies)}",
            "M?": f"Operating Mode: {self._mode}",
            "WF?": f"AC Waveform: {self._waveform}",
            "VF?": f"{' '.join(kinds)} DC in AC mode {switched}",
            "CD": "EPC-400 4 channels",
        }
        return shown.get(wanted)

    def _set(self, wanted: str) -> bool:
        if wanted in {"MDC", "MAC"}:
            self._mode = wanted[1:]
        elif wanted in _WAVEFORMS:
            self._waveform = _WAVEFORMS[wanted]
        elif wanted in {"ENVF0", "ENVF1"}:
            self._steady_in_ac = wanted == "ENVF1"
        elif wanted == "RST":
            self._restart()
        elif wanted != "SAVE":
            return self._set_number(wanted)
        return True

    def _set_number(self, wanted: str) -> bool:
        if parts := _SET_VOLTAGE.fullmatch(wanted):
            number, value = int(parts[1]), int(parts[2])
            if abs(value) > LARGEST_MV:
                return False
            self._mV[number - 1] = value
        elif parts := _SET_PRESET_VOLTAGE.fullmatch(wanted):
            self._mV[int(parts[2]) - 1] = _FIXED_MV[parts[1]]
        elif parts := _SET_FREQUENCY.fullmatch(wanted):
            if int(parts[2]) > LARGEST_HZ:
                return False
            self._hz[int(parts[1]) - 1] = int(parts[2])
        elif re.fullmatch(r"VF[1-4]", wanted):
            number = int(wanted[2:])
            self._kinds[number - 1] = "F" if self._kinds[number - 1] == "V" else "V"
        else:
            return False
        return True
