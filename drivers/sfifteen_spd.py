"""S-Fifteen single-photon detector: bias, threshold, temperature loop and counter of one diode.

Source: the maker's own driver. Same style as the TDC1: queries are answered by one line, settings
by nothing, so each setting is verified by its query. The bias is always ramped, and never raised
while the temperature loop is off and the chip is warm. How much bias a diode bears is its owner's
to say: without `max_bias_v` in the address none is applied. Its set-points are within -30 to 25 °C
unless the address says otherwise.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

from drivers.held_link import HeldLink
from drivers.knobs import Setting
from drivers.operation import Operation, all_or_none
from qnx_hw.errors import (
    Cancelled,
    ConfigError,
    InstrumentError,
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
from qnx_hw.transports import Fence, Lines, LinkTraits, Recorder, option

REPLY_TIMEOUT_S = 2.0
TRAITS = LinkTraits(fence=Fence(b"*idn?\r\n", lambda line: b"SPD" in line.upper()))
# A step of the ramp: small against the few volts between breakdown and damage.
RAMP_STEP_V = 1.0
RAMP_STEP_S = 0.02
# A chip so far above its set-point is warm.
WARM_K = 5.0
TOLERANCE = 0.06
TEMPERATURE_RANGE_C = "-30..25"
THRESHOLD_RANGE_V = (-5.0, 5.0)


class SFifteenSpd(PhotonDetector):
    """A detector at `serial:///dev/ttyACM0?max_bias_v=195`; `&safe_on_close=1` ends at 0 V.

    `&temperature_c=-40..20` are the set-points that it may have.
    """

    def __init__(self, url: str, *, name: str = "s15spd", recorder: Recorder | None = None) -> None:
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS)
        self._operation = Operation(name)
        self._stopped = threading.Event()
        self._is_safe_on_close = option(url, "safe_on_close", "0") == "1"
        try:
            self._max_bias_v = float(option(url, "max_bias_v", "0"))
        except ValueError as error:
            raise ConfigError(f"'{url}': max_bias_v is a number of volts") from error
        self._last_bias_v = 0.0
        self._commands = {
            "temperature_c": ("settemp", _temperatures(url)),
            "temperature_loop": ("loop", (0.0, 1.0)),
            "integration_ms": ("time", (1.0, 65_535.0)),
        }

    @property
    def capabilities(self) -> DetectorCapabilities:
        """One diode, with a bias up to what its owner allows."""
        return DetectorCapabilities(
            n_channels=1,
            bias_unit="V",
            bias_range=(0.0, self._max_bias_v),
            threshold_range_v=THRESHOLD_RANGE_V,
            has_temperature=True,
        )

    def connect(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> Identity:
        """Open the port and ask who is there; bias and temperature stay as they are."""
        with self._operation.within(timeout_s):
            with self._held.opening(Lines(), timeout_s=timeout_s, greeting=b"\r\n"):
                answer = self._held.link().query(b"*idn?\r\n", bool, timeout_s=timeout_s)
                if b"SPD" not in answer.upper():
                    raise ProtocolError(f"'{self.name}' is no SPD: {answer!r}", answer)
            return Identity("S-Fifteen", "SPD")

    def close(self) -> None:
        """Let go of the port; with `safe_on_close`, ramp the bias down first."""
        self._stopped.set()
        with self._operation.within():
            try:
                if self._is_safe_on_close:
                    self.enable(False)
            except InstrumentError:
                return  # it is gone; its bias stays as it is
            finally:
                self._held.close()

    def status(self) -> InstrumentStatus:
        """Return how the detector is, without asking it."""
        return self._held.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `temperature_c` (set-point), `temperature_loop` and `integration_ms`."""
        with self._operation.within(timeout_s):
            return {
                "temperature_c": self._read("settemp", timeout_s),
                "temperature_loop": self._read("loop", timeout_s) != 0,
                "integration_ms": round(self._read("time", timeout_s)),
            }

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; all are checked before one is sent."""
        wanted: dict[str, float] = {}
        for key, value in settings.items():
            if key not in self._commands:
                raise Unsupported(f"'{self.name}' has no setting {key}")
            command, (low, high) = self._commands[key]
            try:
                number = float(value)
            except ValueError as error:
                raise RangeError(f"{key} must be a number, not {value!r}") from error
            if not low <= number <= high:
                raise RangeError(f"'{self.name}': {key} is {low:g} to {high:g}, not {number:g}")
            wanted[command] = number if command == "settemp" else round(number)
        with self._operation.within(timeout_s):
            before = {command: self._read(command, timeout_s) for command in wanted}
            with all_or_none(lambda: self._set_all(before, None)):
                self._set_all(wanted, timeout_s)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """End a ramp or a count now; the bias stays where it is."""
        self._held.link()
        self._stopped.set()

    def enable(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Ramp the bias to 0 V, or back to what it was then."""
        with self._operation.within(timeout_s):
            present_v = self._read("hvolt", timeout_s)
            if on and present_v == 0.0:
                return self.set_bias(1, self._last_bias_v, timeout_s=timeout_s) > 0.0
            if not on and present_v > 0.0:
                self._last_bias_v = present_v
                return self._ramp(present_v, 0.0, timeout_s) > 0.0
            return present_v > 0.0

    def set_bias(self, channel: int, bias: float, *, timeout_s: float | None = None) -> float:
        """Ramp the bias, in volt; where the time is over it stays where it is."""
        self._check_channel(channel)
        if not 0.0 <= bias <= self._max_bias_v:
            raise RangeError(
                f"'{self.name}' refused a bias of {bias:g} V: the range is 0 to"
                f" {self._max_bias_v:g} V, set by max_bias_v in its address"
            )
        with self._operation.within(timeout_s):
            present_v = self._read("hvolt", timeout_s)
            if bias > present_v:
                self._check_cold(timeout_s)
            return self._ramp(present_v, bias, timeout_s)

    def set_threshold_v(
        self, channel: int, threshold_v: float, *, timeout_s: float | None = None
    ) -> float:
        """Set the comparator level in volt."""
        self._check_channel(channel)
        low, high = THRESHOLD_RANGE_V
        if not low <= threshold_v <= high:
            raise RangeError(f"'{self.name}': the threshold is -5 to 5 V, not {threshold_v:g} V")
        with self._operation.within(timeout_s):
            return self._set("threshvolt", threshold_v, timeout_s)

    def levels(self, *, timeout_s: float | None = None) -> tuple[DetectorLevels, ...]:
        """Read bias and comparator level."""
        with self._operation.within(timeout_s):
            bias_v, threshold_v = (self._read(each, timeout_s) for each in ("hvolt", "threshvolt"))
            return (DetectorLevels(bias_v, threshold_v),)

    def count_rates(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Count for the integration time and return counts per second."""
        with self._operation.within(timeout_s):
            self._stopped.clear()
            time_s = self._read("time", timeout_s) / 1000
            if time_s <= 0:
                raise ProtocolError(f"'{self.name}' reports an integration time of {time_s} s")
            line = self._held.link().query(
                b"counts?\r\n",
                lambda line: line.strip().isdigit(),
                timeout_s=timeout_s or time_s + REPLY_TIMEOUT_S,
                cancel=self._stopped,
            )
            return (int(line) / time_s,)

    def auto_bias(
        self,
        dark_rate_cps: Sequence[float],
        *,
        timeout_s: float = 60.0,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Refuse: the unit has no such search."""
        raise Unsupported(f"'{self.name}' does not find its bias by itself")

    def _ramp(self, present_v: float, target_v: float, timeout_s: float | None) -> float:
        self._stopped.clear()
        while present_v != target_v:
            way_v = target_v - present_v
            present_v += math.copysign(min(abs(way_v), RAMP_STEP_V), way_v)
            self._tell(f"hvolt {present_v:.2f}")
            if self._stopped.wait(RAMP_STEP_S):
                raise Cancelled(f"the ramp of '{self.name}' ended at {present_v:.2f} V")
            if abs(target_v - present_v) < TOLERANCE / 10:
                break
        return self._check("hvolt", target_v, timeout_s)

    def _check_cold(self, timeout_s: float | None) -> None:
        if self._read("loop", timeout_s) != 0:
            return
        chip_c, wanted_c = self._read("temp", timeout_s), self._read("settemp", timeout_s)
        if chip_c > wanted_c + WARM_K:
            raise InstrumentRefused(
                f"the chip of '{self.name}' is at {chip_c:g} °C with its loop off:"
                " switch temperature_loop on before the bias is raised"
            )

    def _set_all(self, wanted: Mapping[str, float], timeout_s: float | None) -> None:
        for command, number in wanted.items():
            self._set(command, number, timeout_s)

    def _set(self, command: str, value: float, timeout_s: float | None) -> float:
        self._tell(f"{command} {value:g}")
        return self._check(command, value, timeout_s)

    def _check(self, command: str, value: float, timeout_s: float | None) -> float:
        held = self._read(command, timeout_s)
        if abs(held - value) > TOLERANCE:
            raise InstrumentRefused(f"'{self.name}' holds {command} {held:g}, not {value:g}")
        return held

    def _tell(self, command: str) -> None:
        self._held.link().send(command.encode("ascii") + b"\r\n", timeout_s=REPLY_TIMEOUT_S)

    def _read(self, command: str, timeout_s: float | None) -> float:
        line = self._held.link().query(
            command.encode("ascii") + b"?\r\n", _is_number, timeout_s=timeout_s or REPLY_TIMEOUT_S
        )
        return float(line)

    def _check_channel(self, channel: int) -> None:
        if channel != 1:
            raise RangeError(f"'{self.name}' has one detector, not {channel}")


def _temperatures(url: str) -> tuple[float, float]:
    low, dots, high = option(url, "temperature_c", TEMPERATURE_RANGE_C).partition("..")
    try:
        coldest_c, warmest_c = float(low), float(high)
    except ValueError as error:
        raise ConfigError(f"'{url}': temperature_c is a range in °C, such as -30..25") from error
    if not dots or not -100.0 <= coldest_c < warmest_c <= 100.0:
        raise ConfigError(f"'{url}': temperature_c goes from the coldest to the warmest °C")
    return coldest_c, warmest_c


def _is_number(line: bytes) -> bool:
    try:
        return math.isfinite(float(line))
    except ValueError:
        return False
