"""Thorlabs PAX1000 polarimeter.

Source: Thorlabs' list of PAX1000 commands. A measurement is 13 numbers; here the mode (2), the
flags (3), azimuth theta and ellipticity eta in radian (9, 10), the degree of polarization (11) and
the power in watt (12) are used. The wave plate turns steadily about 2 s after it was switched on;
until then a flag is set.
"""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass

from drivers.knobs import Knob, Panel, Setting
from drivers.text_line import IDENTITY_FENCE, TextLine
from qnx_hw.errors import InstrumentRefused, InstrumentTimeout, ProtocolError
from qnx_hw.instruments.families import Polarimeter
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Recorder, together
from qnx_hw.transports.request import Priority

IDLE = 1
LOCK_TIMEOUT_S = 5.0
# A turn of the wave plate takes 20 ms at 50 Hz.
POLL_S = 0.02
N_NUMBERS = 13
ROTATION_OFF = "INP:ROT:STAT 0"
KNOBS = {
    "wavelength_nm": Knob("SENS:CORR:WAV", 400.0, 1700.0, unit=1e-9),
    "auto_range": Knob("SENS:POW:RANG:AUTO", kind=bool),
    "rotation_hz": Knob("INP:ROT:VEL", 20.0, 200.0),
    "mode": Knob("SENS:CALC", IDLE, 9, kind=int),
    "rotation_on": Knob("INP:ROT:STAT", kind=bool),
}


class Pax1000(Polarimeter):
    """A polarimeter; it measures once `mode` is above 1 (9: best) and `rotation_on` is set."""

    def __init__(
        self, url: str, *, name: str = "pax1000", recorder: Recorder | None = None
    ) -> None:
        self.name = name
        self._line = TextLine(url, name, recorder=recorder, fence=IDENTITY_FENCE)
        self._panel = Panel(self._line, KNOBS, self._line.tell_checked)

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Ask who is there; the wave plate stays as it is."""
        with self._line.opening(timeout_s=timeout_s):
            return self._line.identity(timeout_s)

    def close(self) -> None:
        """Halt the wave plate and let go."""
        self._line.close(ROTATION_OFF)

    def status(self) -> InstrumentStatus:
        """Return how the polarimeter is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `wavelength_nm`, `auto_range`, `rotation_hz`, `mode` and `rotation_on`."""
        return self._panel.settings(timeout_s)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; the rotation comes last."""
        return self._panel.configure(settings, timeout_s)

    def stop(self) -> None:
        """Halt the wave plate now."""
        self._line.tell(ROTATION_OFF, priority=Priority.STOP)

    def stokes(self, *, timeout_s: float | None = None) -> tuple[float, float, float, float]:
        """Return power in W and S1, S2, S3 over S0, once the wave plate turns steadily."""
        with together(timeout_s):
            return self._steady(timeout_s or LOCK_TIMEOUT_S)

    def _steady(self, timeout_s: float) -> tuple[float, float, float, float]:
        deadline_s = time.monotonic() + timeout_s
        rotation = KNOBS["rotation_on"]
        pause = threading.Event()
        while True:
            is_on = rotation.decode(self._line.ask(rotation.query()))
            seen = decode_measurement(self._line.ask("SENS:DATA:PRIM:LAT?"))
            if not is_on or seen.mode == IDLE:
                raise InstrumentRefused(
                    f"'{self.name}' does not measure: configure mode 9 and rotation_on", seen.mode
                )
            if not seen.flags:
                return seen.stokes()
            if time.monotonic() >= deadline_s:
                raise InstrumentTimeout(f"'{self.name}' is not ready: its flags are {seen.flags}")
            pause.wait(POLL_S)


@dataclass(frozen=True, slots=True)
class Measurement:
    """What the polarimeter saw."""

    mode: int
    flags: int
    azimuth_rad: float
    ellipticity_rad: float
    degree_of_polarization: float
    power_w: float

    def stokes(self) -> tuple[float, float, float, float]:
        """Return S0 in watt and S1, S2, S3 over S0; their length is the polarized part."""
        part = self.degree_of_polarization
        equator = part * math.cos(2 * self.ellipticity_rad)
        return (
            self.power_w,
            equator * math.cos(2 * self.azimuth_rad),
            equator * math.sin(2 * self.azimuth_rad),
            part * math.sin(2 * self.ellipticity_rad),
        )


def decode_measurement(reply: str) -> Measurement:
    """Read the reply to `SENS:DATA:PRIM:LAT?`."""
    words = reply.split(",")
    try:
        numbers = [float(word) for word in words]
    except ValueError as error:
        raise ProtocolError(f"{reply!r} is no measurement", reply.encode()) from error
    if len(numbers) != N_NUMBERS or not all(map(math.isfinite, numbers)):
        raise ProtocolError(f"{reply!r} is no measurement", reply.encode())
    return Measurement(int(numbers[2]), int(numbers[3]), *numbers[9:])
