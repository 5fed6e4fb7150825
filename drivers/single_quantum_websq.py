"""Single Quantum EOS and Atlas: a bank of nanowire detectors behind the WebSQ interface.

Source: the maker's own driver. Two TCP connections: control (port 12000) carries JSON objects, to
the unit without delimiter, from it ended by byte 0x17; counts (port 12345) carries one text line
per measurement period.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Mapping, Sequence

from drivers.knobs import Setting
from drivers.operation import Operation, all_or_none
from drivers.websq_labels import Json
from drivers.websq_link import REPLY_TIMEOUT_S, WebSqLink, command, message
from qnx_hw.errors import (
    Cancelled,
    InstrumentError,
    InstrumentTimeout,
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
from qnx_hw.transports import Recorder, address, option

COUNTS_PORT = 12345
MICRO = 1e-6
MILLI = 1e-3
# Limits of the maker's units; a unit's own bounds come with its labels but are not needed here.
BIAS_LIMIT_A = 50e-6
TRIGGER_LIMIT_V = 0.4
SHORTEST_PERIOD_S = 0.01
MOST_DETECTORS = 24
LATCHED_FACTOR = 3.0
# What a unit rounds settings to is not published; this is far below what matters.
BIAS_TOLERANCE_UA = 0.1
TRIGGER_TOLERANCE_MV = 1.0


class WebSq(PhotonDetector):
    """A detector bank at `tcp://host:12000?counts_port=12345`."""

    def __init__(self, url: str, *, name: str = "websq", recorder: Recorder | None = None) -> None:
        self.name = name
        host, _ = address(url)
        counts_port = option(url, "counts_port", str(COUNTS_PORT))
        counts_url = f"tcp://{host}:{counts_port}"
        self._link = WebSqLink(url, counts_url, name, recorder)
        self._operation = Operation(name)
        self._n_detectors = 0
        self._line_ohm = math.inf

    @property
    def capabilities(self) -> DetectorCapabilities:
        """What these detectors can do; their number is known once connected."""
        return DetectorCapabilities(
            n_channels=self._n_detectors,
            bias_unit="A",
            bias_range=(0.0, BIAS_LIMIT_A),
            threshold_range_v=(0.0, TRIGGER_LIMIT_V),
            has_auto_bias=True,
        )

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open both connections and read all labels."""
        with self._operation.within(timeout_s), self._link.opening(timeout_s) as labels:
            self._link.read_back(("NumberOfDetectors", "InptMeasurementPeriod"))
            number = labels.get("NumberOfDetectors")
            # JSON knows one kind of number: four detectors may be said as 4 or as 4.0.
            if number not in range(1, MOST_DETECTORS + 1) or not isinstance(number, int | float):
                raise ProtocolError(f"'{self.name}' reports {number!r} detectors")
            self._n_detectors = int(number)
            self._line_ohm = math.inf
            return Identity("Single Quantum", "WebSQ")

    def close(self) -> None:
        """Switch the detectors off and let go of the unit."""
        with self._operation.within():
            try:
                self.enable(False)
            except InstrumentError:
                return  # it is gone or deaf; nothing more can be done from here
            finally:
                self._link.close()

    def status(self) -> InstrumentStatus:
        """Return how the unit is, without asking it."""
        return self._link.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `period_s`, `enabled`, and per channel `bias_N_A` and `threshold_N_v`."""
        wanted = ("InptMeasurementPeriod", "DetectorEnable", "BiasCurrent", "TriggerLevel")
        with self._operation.within(timeout_s):
            self._link.read_back(wanted)
            held: dict[str, Setting] = {
                "period_s": self._period_s(),
                "enabled": bool(self._link.labels.get("DetectorEnable")),
            }
            for channel, bias_ua in enumerate(self._numbers("BiasCurrent"), start=1):
                held[f"bias_{channel}_A"] = bias_ua * MICRO
            for channel, trigger_mv in enumerate(self._numbers("TriggerLevel"), start=1):
                held[f"threshold_{channel}_v"] = trigger_mv * MILLI
            return held

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; all are checked before one is sent."""
        with self._operation.within(timeout_s):
            held = dict(self.settings(timeout_s=timeout_s))
            for key, value in settings.items():
                self._check_setting(key, value, held)
            with all_or_none(lambda: self._apply(held, held)):
                self._apply(settings, held)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Switch the detectors off now, whatever is under way; does not wait for the unit."""
        self._link.halt(command("DetectorEnable", False))

    def enable(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Switch all detectors on or off."""
        with self._operation.within(timeout_s):
            self._link.put(command("DetectorEnable", on), "DetectorEnable", lambda held: held is on)
        return on

    def set_bias(self, channel: int, bias: float, *, timeout_s: float | None = None) -> float:
        """Set the bias current of one detector in ampere."""
        self._check_channel(channel)
        _check_range(f"bias of '{self.name}'", bias, BIAS_LIMIT_A, "A")
        with self._operation.within(timeout_s):
            self._link.read_back(("BiasCurrent",))
            biases_ua = self._numbers("BiasCurrent")
            biases_ua[channel - 1] = bias / MICRO
            self._set_biases(biases_ua)
            return self._numbers("BiasCurrent")[channel - 1] * MICRO

    def set_threshold_v(
        self, channel: int, threshold_v: float, *, timeout_s: float | None = None
    ) -> float:
        """Set the trigger level of one detector in volt."""
        self._check_channel(channel)
        _check_range(f"threshold of '{self.name}'", threshold_v, TRIGGER_LIMIT_V, "V")
        with self._operation.within(timeout_s):
            self._link.read_back(("TriggerLevel",))
            levels_mv = self._numbers("TriggerLevel")
            levels_mv[channel - 1] = threshold_v / MILLI
            self._set_triggers(levels_mv)
            return self._numbers("TriggerLevel")[channel - 1] * MILLI

    def levels(self, *, timeout_s: float | None = None) -> tuple[DetectorLevels, ...]:
        """Read bias currents and trigger levels."""
        with self._operation.within(timeout_s):
            self._link.read_back(("BiasCurrent", "TriggerLevel"))
            rows = self._numbers("BiasCurrent"), self._numbers("TriggerLevel")
            return tuple(
                DetectorLevels(bias_ua * MICRO, level_mv * MILLI)
                for bias_ua, level_mv in zip(*rows, strict=True)
            )

    def count_rates(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the counts per second of the measurement period that ends next."""
        self._link.check()
        labels = self._link.labels
        before = labels.counts.number
        period_s = self._period_s()
        wait_s = timeout_s or period_s + REPLY_TIMEOUT_S
        labels.wait(lambda: labels.counts.number > before, "a line of counts", wait_s)
        return tuple(count / period_s for count in labels.counts.counts)

    def latched(self, *, timeout_s: float | None = None) -> tuple[bool, ...]:
        """Tell which detectors have bias, a high voltage, and no count in a whole period.

        A voltage is high where it shows a resistance of more than `LATCHED_FACTOR` times the least
        one seen since connecting, which is that of the line alone.
        """
        with self._operation.within(timeout_s):
            self.count_rates(timeout_s=timeout_s)  # its period may have begun before a change
            rates = self.count_rates(timeout_s=timeout_s)
            self._link.read_back(("BiasCurrent", "BiasVoltage"))
            biases_ua, voltages_mv = self._numbers("BiasCurrent"), self._numbers("BiasVoltage")
        resistances_ohm = [
            voltage_mv * MILLI / (bias_ua * MICRO) if bias_ua else 0.0
            for bias_ua, voltage_mv in zip(biases_ua, voltages_mv, strict=True)
        ]
        biased_ohm = (ohm for ohm in resistances_ohm if ohm > 0.0)
        self._line_ohm = min((self._line_ohm, *biased_ohm))
        return tuple(
            rate == 0.0 and ohm > LATCHED_FACTOR * self._line_ohm
            for rate, ohm in zip(rates, resistances_ohm, strict=True)
        )

    def relatch(self, channel: int, *, timeout_s: float | None = None) -> float:
        """Take the bias of a latched detector away, give it back, and return it in ampere."""
        self._check_channel(channel)
        with self._operation.within(timeout_s):
            self._link.read_back(("BiasCurrent",))
            biases_ua = self._numbers("BiasCurrent")
            held_ua, biases_ua[channel - 1] = biases_ua[channel - 1], 0.0
            self._set_biases(biases_ua)
            biases_ua[channel - 1] = held_ua
            self._set_biases(biases_ua)
            return self._numbers("BiasCurrent")[channel - 1] * MICRO

    def auto_bias(
        self,
        dark_rate_cps: Sequence[float],
        *,
        timeout_s: float = 60.0,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Let the unit find, set and report the biases, in ampere, for these dark count rates."""
        if len(dark_rate_cps) != self._n_detectors or min(dark_rate_cps, default=-1.0) < 0:
            raise RangeError(
                f"'{self.name}' wants {self._n_detectors} dark count rates of at least 0 cps"
            )
        targets = list(dark_rate_cps)
        with self._operation.within(timeout_s):
            labels = self._link.labels
            self._link.put(
                command("DarkCountsAutoIV", targets),
                "DarkCountsAutoIV",
                lambda held: _is_near(held, targets, 1.0),
            )
            started = labels.raised("StartAutoIV")
            self._link.send(command="AutoCaliBiasCurrents", value=True)
            try:
                labels.wait(
                    lambda: (
                        labels.raised("StartAutoIV") > started
                        and labels.get("StartAutoIV") is False
                    ),
                    "the automatic bias",
                    timeout_s,
                    cancel,
                )
            except (Cancelled, InstrumentTimeout):
                self._link.send(command="AutoCaliBiasCurrents", value=False)
                raise
            self._link.read_back(("BiasCurrentAutoIV",))
            biases_ua = self._numbers("BiasCurrentAutoIV")
            self._set_biases(biases_ua)
            return tuple(bias_ua * MICRO for bias_ua in biases_ua)

    def _apply(self, settings: Mapping[str, Setting], held: Mapping[str, Setting]) -> None:
        """Set what is named; what is not named of a row stays as it is held."""
        if "period_s" in settings:
            self._set_period(float(settings["period_s"]))
        channels = range(1, self._n_detectors + 1)
        merged = dict(held) | dict(settings)
        if any(key.startswith("bias_") for key in settings):
            self._set_biases([float(merged[f"bias_{c}_A"]) / MICRO for c in channels])
        if any(key.startswith("threshold_") for key in settings):
            self._set_triggers([float(merged[f"threshold_{c}_v"]) / MILLI for c in channels])
        if "enabled" in settings:
            self.enable(bool(settings["enabled"]))

    def _set_period(self, period_s: float) -> None:
        period_ms = round(period_s / MILLI)
        self._link.put(
            message(command="SetMeasurementPeriod", label="InptMeasurementPeriod", value=period_ms),
            "InptMeasurementPeriod",
            lambda held: _is_near([held], [period_ms], 0.5),
        )

    def _set_biases(self, biases_ua: list[float]) -> None:
        self._link.put(
            message(command="SetAllBiasCurrents", label="BiasCurrent", value=biases_ua),
            "BiasCurrent",
            lambda held: _is_near(held, biases_ua, BIAS_TOLERANCE_UA),
        )

    def _set_triggers(self, levels_mv: list[float]) -> None:
        self._link.put(
            message(command="SetAllTriggerLevels", label="TriggerLevel", value=levels_mv),
            "TriggerLevel",
            lambda held: _is_near(held, levels_mv, TRIGGER_TOLERANCE_MV),
        )

    def _numbers(self, label: str) -> list[float]:
        """Return a label that must hold one number per detector."""
        value = self._link.labels.get(label)
        if not _is_near(value, [0.0] * self._n_detectors, math.inf):
            raise ProtocolError(f"'{self.name}' reports {label} = {value!r}")
        assert isinstance(value, list)
        return [float(number) for number in value]

    def _period_s(self) -> float:
        period_ms = self._link.labels.get("InptMeasurementPeriod")
        if not isinstance(period_ms, int | float) or not period_ms > 0:
            raise ProtocolError(f"'{self.name}' reports a period of {period_ms!r} ms")
        return period_ms * MILLI

    def _check_channel(self, channel: int) -> None:
        if not 1 <= channel <= self._n_detectors:
            raise RangeError(f"'{self.name}' has detectors 1 to {self._n_detectors}, not {channel}")

    def _check_setting(self, key: str, value: Setting, held: Mapping[str, Setting]) -> None:
        if key not in held:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        if key == "enabled":
            return
        try:
            number = float(value)
        except ValueError as error:
            raise RangeError(f"{key} of '{self.name}' must be a number, not {value!r}") from error
        if key == "period_s":
            if not SHORTEST_PERIOD_S <= number <= 60.0:
                raise RangeError(f"period_s of '{self.name}' is 0.01 to 60 s, not {number:g} s")
        elif key.startswith("bias_"):
            _check_range(f"{key} of '{self.name}'", number, BIAS_LIMIT_A, "A")
        else:
            _check_range(f"{key} of '{self.name}'", number, TRIGGER_LIMIT_V, "V")


def _is_near(held: Json, wanted: Sequence[float], tolerance: float) -> bool:
    """Whether `held` is a list of as many numbers, each within the tolerance."""
    if not isinstance(held, list) or len(held) != len(wanted):
        return False
    return all(
        isinstance(number, int | float) and abs(number - target) <= tolerance
        for number, target in zip(held, wanted, strict=True)
    )


def _check_range(what: str, value: float, high: float, unit: str) -> None:
    if not 0.0 <= value <= high:
        raise RangeError(f"the {what} must be 0 to {high:g} {unit}, not {value:g} {unit}")
