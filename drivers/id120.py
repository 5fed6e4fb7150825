"""ID Quantique ID120 single-photon detector: bias, threshold, dead time, cooler and counter.

Source: the command set that the unit's users know. Values are whole numbers in small units and may
come back with the unit's name; settings are silent, so each is verified by its query. No document
gives limits: the ranges here only keep typing errors from the wire. How much bias the diode bears
is its owner's to say: without `max_bias_v` in the address none is applied.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from threading import Event

from drivers.knobs import Setting
from drivers.operation import all_or_none
from drivers.text_line import TextLine
from qnx_hw.errors import (
    ConfigError,
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import PhotonDetector
from qnx_hw.instruments.values import (
    DetectorCapabilities,
    DetectorLevels,
    Identity,
    InstrumentStatus,
)
from qnx_hw.transports import Fence, Recorder, option

THRESHOLD_RANGE_V = (0.0, 2.0)
_NUMBER = re.compile(r"[+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?")
_RUNS = {"TRUE": True, "1": True, "ON": True, "FALSE": False, "0": False, "OFF": False}
# The only question whose answer is a word.
_FENCE = Fence(b"REG:STATE?\n", lambda line: line.strip().upper() in {b"TRUE", b"FALSE"})


@dataclass(frozen=True, slots=True)
class _Amount:
    """A number behind a header: what one of ours is on the wire, and its range in ours."""

    header: str
    per_unit: int
    low: float
    high: float


_BIAS = "BIAS:VOLTAGE"
_THRESHOLD = "THRESHOLD:VOLTAGE"
_AMOUNTS = {
    "dead_time_ns": _Amount("DEADTIME:TIME", 1, 1.0, 1e6),
    "temperature_c": _Amount("REG:TEMP_SET_POINT", 1000, -100.0, 30.0),
    "integration_ms": _Amount("COUNTERS:INTEGRATION_TIME", 1, 1.0, 60_000.0),
}
COOLER = "cooler_on"
MICROVOLT_PER_V = 1_000_000
# The unit may round to its own steps, which no document gives; more than this is a refusal.
ROUNDING = 0.01


class Id120(PhotonDetector):
    """A detector at `tcp://host:port?max_bias_v=160`; leaving it takes its bias away."""

    def __init__(self, url: str, *, name: str = "id120", recorder: Recorder | None = None) -> None:
        self.name = name
        self._line = TextLine(url, name, recorder=recorder, fence=_FENCE)
        try:
            self._max_bias_v = float(option(url, "max_bias_v", "0"))
        except ValueError as error:
            raise ConfigError(f"'{url}': max_bias_v is a number of volts") from error
        self._last_bias_v = 0.0

    @property
    def capabilities(self) -> DetectorCapabilities:
        """One diode, with a bias up to what its owner allows."""
        return DetectorCapabilities(
            n_channels=1,
            bias_unit="V",
            bias_range=(0.0, self._max_bias_v),
            threshold_range_v=THRESHOLD_RANGE_V,
            has_temperature=True,
            has_dead_time=True,
        )

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the wire and see whether a detector answers; bias and cooler stay as they are.

        The unit is not known to say its name: it is taken for an ID120 if it knows its bias.
        """
        with self._line.opening(timeout_s=timeout_s):
            self._read(_BIAS, timeout_s)
        return Identity("ID Quantique", "ID120")

    def close(self) -> None:
        """Take the bias away and let go of the wire; the cooler stays as it is."""
        self._line.close(f"{_BIAS} 0")

    def status(self) -> InstrumentStatus:
        """Return how the detector is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `dead_time_ns`, `temperature_c` (set-point), `integration_ms` and `cooler_on`."""
        with self._line.operation.within(timeout_s):
            return {key: self._held(key, timeout_s) for key in (*_AMOUNTS, COOLER)}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them.

        All are checked before one is sent; if the unit holds another value, all are set back.
        """
        wanted = {key: self._checked(key, value) for key, value in settings.items()}
        with self._line.operation.within(timeout_s):
            held = {key: self._held(key, timeout_s) for key in wanted}
            with all_or_none(lambda: self._set_all(held, None)):
                self._set_all(wanted, timeout_s)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Do nothing: no call of this detector takes long."""

    def enable(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Take the bias away, or set it to what it was then."""
        with self._line.operation.within(timeout_s):
            present_v = self._read(_BIAS, timeout_s) / MICROVOLT_PER_V
            if on and present_v == 0.0:
                return self.set_bias(1, self._last_bias_v, timeout_s=timeout_s) > 0.0
            if not on and present_v > 0.0:
                self._last_bias_v = present_v
                return self._write(_BIAS, 0, timeout_s) > 0
            return present_v > 0.0

    def set_bias(self, channel: int, bias: float, *, timeout_s: float | None = None) -> float:
        """Set the bias in volt."""
        self._check_channel(channel)
        if not 0.0 <= bias <= self._max_bias_v:
            raise RangeError(
                f"'{self.name}' refused a bias of {bias:g} V: the range is 0 to"
                f" {self._max_bias_v:g} V, set by max_bias_v in its address"
            )
        return self._write(_BIAS, round(bias * MICROVOLT_PER_V), timeout_s) / MICROVOLT_PER_V

    def set_threshold_v(
        self, channel: int, threshold_v: float, *, timeout_s: float | None = None
    ) -> float:
        """Set the comparator level in volt."""
        self._check_channel(channel)
        low, high = THRESHOLD_RANGE_V
        if not low <= threshold_v <= high:
            raise RangeError(f"'{self.name}': the threshold is 0 to 2 V, not {threshold_v:g} V")
        wanted = round(threshold_v * MICROVOLT_PER_V)
        return self._write(_THRESHOLD, wanted, timeout_s) / MICROVOLT_PER_V

    def levels(self, *, timeout_s: float | None = None) -> tuple[DetectorLevels, ...]:
        """Read bias and comparator level."""
        with self._line.operation.within(timeout_s):
            held = (self._read(header, timeout_s) for header in (_BIAS, _THRESHOLD))
            return (DetectorLevels(*(each / MICROVOLT_PER_V for each in held)),)

    def count_rates(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the rate that the unit has counted last."""
        return (self._read("COUNTERS:DETECTION_FREQ", timeout_s),)

    def auto_bias(
        self,
        dark_rate_cps: Sequence[float],
        *,
        timeout_s: float = 60.0,
        cancel: Event | None = None,
    ) -> tuple[float, ...]:
        """Refuse: the unit cannot."""
        raise Unsupported(f"'{self.name}' cannot find its bias by itself")

    def _checked(self, key: str, value: Setting) -> Setting:
        if key == COOLER:
            if value not in (False, True):
                raise RangeError(f"{key} is true or false, not {value!r}")
            return bool(value)
        if key not in _AMOUNTS:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        amount = _AMOUNTS[key]
        try:
            wanted = float(value)
        except ValueError as error:
            raise RangeError(f"{key} must be a number, not {value!r}") from error
        if not amount.low <= wanted <= amount.high:
            raise RangeError(f"{key} is {amount.low:g} to {amount.high:g}, not {value!r}")
        return wanted

    def _held(self, key: str, timeout_s: float | None) -> Setting:
        if key != COOLER:
            amount = _AMOUNTS[key]
            return self._read(amount.header, timeout_s) / amount.per_unit
        reply = self._line.ask("REG:STATE?", timeout_s)
        if reply.upper() not in _RUNS:
            raise ProtocolError(f"REG:STATE is reported as {reply!r}", reply.encode())
        return _RUNS[reply.upper()]

    def _set_all(self, settings: Mapping[str, Setting], timeout_s: float | None) -> None:
        for key, value in settings.items():
            self._set(key, value, timeout_s)

    def _set(self, key: str, value: Setting, timeout_s: float | None) -> None:
        if key != COOLER:
            amount = _AMOUNTS[key]
            self._write(amount.header, round(float(value) * amount.per_unit), timeout_s)
            return
        self._line.tell(f"REG:RUN {'TRUE' if value else 'FALSE'}")
        if self._held(key, timeout_s) != value:
            raise InstrumentRefused(f"'{self.name}' holds {key} = {not value}, not {value}")

    def _write(self, header: str, wanted: int, timeout_s: float | None) -> float:
        with self._line.operation.within(timeout_s):
            self._line.tell(f"{header} {wanted}")
            held = self._read(header, timeout_s)
        if abs(held - wanted) > max(1.0, ROUNDING * abs(wanted)):
            raise InstrumentRefused(f"'{self.name}' holds {header} {held:.0f}, not {wanted}")
        return held

    def _read(self, header: str, timeout_s: float | None) -> float:
        return first_number(self._line.ask(f"{header}?", timeout_s))

    def _check_channel(self, channel: int) -> None:
        if channel != 1:
            raise RangeError(f"'{self.name}' has one detector, not {channel}")


def first_number(reply: str) -> float:
    """Return the first number in a reply; a unit may follow."""
    match = _NUMBER.search(reply)
    if match is None:
        raise ProtocolError(f"{reply!r} is no number", reply.encode())
    return float(match[0])
