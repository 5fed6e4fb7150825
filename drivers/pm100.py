"""Thorlabs PM100D, PM100USB and PM101 power meters.

Source: Thorlabs, "PM100D Operation Manual", SCPI commands. A wrong setting is silent: the error
queue is read after each. Too much power for the range reads 9.9E+37.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from threading import Event

from drivers.knobs import Knob, Panel, Setting
from drivers.text_line import IDENTITY_FENCE, REPLY_TIMEOUT_S, TextLine, number
from qnx_hw.errors import Cancelled, InstrumentRefused, ProtocolError
from qnx_hw.instruments.families import PowerMeter
from qnx_hw.instruments.values import Identity, InstrumentStatus
from qnx_hw.transports import Recorder
from qnx_hw.transports.request import Priority

OVERFLOW_W = 9.9e37
ZEROING_LOOK_S = 0.1
# The longest reading is an average of 10,000, at 0.3 ms each (manual, "SENSe:AVERage").
READING_TIMEOUT_S = REPLY_TIMEOUT_S + 3.0
# Setting a range ends the automatic one, so that comes after it.
KNOBS = {
    "wavelength_nm": Knob("SENS:CORR:WAV", 100.0, 20_000.0),
    "average_count": Knob("SENS:AVER:COUN", 1, 10_000, kind=int),
    "range_w": Knob("SENS:POW:RANG", 1e-12, 1e3),
    "auto_range": Knob("SENS:POW:RANG:AUTO", kind=bool),
}


@dataclass(frozen=True, slots=True)
class Sensor:
    """The head of a power meter."""

    model: str
    serial: str
    calibrated: str
    """Date, as the head says it."""


class Pm100(PowerMeter):
    """A power meter; what it holds is shown by `settings`."""

    def __init__(self, url: str, *, name: str = "pm100", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = TextLine(url, name, recorder=recorder, fence=IDENTITY_FENCE)
        self._panel = Panel(self._line, KNOBS, self._line.tell_checked)

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Ask who is there and what wavelengths its head takes; have it speak of watt."""
        with self._line.opening(timeout_s=timeout_s):
            identity = self._line.identity(timeout_s)
            low, high = (number(self._line.ask(f"SENS:CORR:WAV? {end}")) for end in ("MIN", "MAX"))
            self._panel.knobs["wavelength_nm"] = Knob("SENS:CORR:WAV", low, high)
            self._line.tell_checked("SENS:POW:UNIT W")
        return identity

    def close(self) -> None:
        """Let go of the meter; it only listens to light."""
        self._line.close()

    def status(self) -> InstrumentStatus:
        """Return how the meter is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `wavelength_nm`, `average_count` (0.3 ms each), `range_w` and `auto_range`."""
        return self._panel.settings(timeout_s)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; a range ends the automatic one."""
        return self._panel.configure(settings, timeout_s)

    def stop(self) -> None:
        """Abort the measurement under way."""
        self._line.tell("ABOR", priority=Priority.STOP)

    def sensor(self, *, timeout_s: float | None = None) -> Sensor:
        """Ask the head who it is and when it was calibrated."""
        reply = self._line.ask("SYST:SENS:IDN?", timeout_s)
        words = [word.strip().strip('"') for word in reply.split(",")]
        if len(words) < 3:
            raise ProtocolError(f"{reply!r} names no head", reply.encode())
        return Sensor(*words[:3])

    def zero(self, *, timeout_s: float = 10.0, cancel: Event | None = None) -> None:
        """Take what the head sees now, with the light off, as dark; wait until it is done."""
        with self._line.operation.within(timeout_s):
            self._line.tell_checked("SENS:CORR:COLL:ZERO:INIT")
            pause = cancel or Event()
            while self._line.ask("SENS:CORR:COLL:ZERO:STAT?", timeout_s) != "0":
                if pause.wait(ZEROING_LOOK_S):
                    self._line.tell("SENS:CORR:COLL:ZERO:ABOR")
                    raise Cancelled(f"zeroing '{self.name}' was cancelled")

    def power_w(self, *, timeout_s: float | None = None) -> float:
        """Measure the optical power in watt; too much for the range raises."""
        power = number(self._line.ask("MEAS:POW?", timeout_s or READING_TIMEOUT_S))
        if power >= OVERFLOW_W:
            raise InstrumentRefused(
                f"'{self.name}' sees more power than its range takes: widen range_w or attenuate",
                "overflow",
            )
        return power
