"""Single Quantum EOS and Atlas: a bank of nanowire detectors behind the WebSQ interface.

Source: the maker's own driver. Two TCP connections: control (port 12000) carries JSON objects, to
the unit without delimiter, from it ended by byte 0x17; counts (port 12345) carries one text line
per measurement period. No reply belongs to a request: the unit broadcasts labels, so a setting
holds once its label was sent again with the new value.
"""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Callable, Mapping, Sequence

from drivers.knobs import Setting
from drivers.operation import Operation
from drivers.websq_labels import Json, Labels
from qnx_hw.errors import (
    Cancelled,
    InstrumentError,
    InstrumentTimeout,
    NotConnected,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import PhotonDetector
from qnx_hw.instruments.values import (
    DetectorCapabilities,
    Identity,
    InstrumentState,
    InstrumentStatus,
)
from qnx_hw.transports import Lines, Link, Priority, Recorder, address, make_wire, option

END_OF_MESSAGE = b"\x17"
COUNTS_PORT = 12345
MICRO = 1e-6
MILLI = 1e-3
# Limits of the maker's units; a unit's own bounds come with its labels but are not needed here.
BIAS_LIMIT_A = 50e-6
TRIGGER_LIMIT_V = 0.4
SHORTEST_PERIOD_S = 0.01
MOST_DETECTORS = 24
REPLY_TIMEOUT_S = 2.0
# What a unit rounds settings to is not published; this is far below what matters.
BIAS_TOLERANCE_UA = 0.1
TRIGGER_TOLERANCE_MV = 1.0


class WebSq(PhotonDetector):
    """A detector bank at `tcp://host:12000?counts_port=12345`."""

    def __init__(self, url: str, *, name: str = "websq", recorder: Recorder | None = None) -> None:
        self.name = name
        self._url = url
        host, _ = address(url)
        counts_port = option(url, "counts_port", str(COUNTS_PORT))
        self._counts_url = f"tcp://{host}:{counts_port}"
        self._recorder = recorder
        self._operation = Operation(name)
        self._links: tuple[Link, ...] = ()
        self._labels = Labels(name)
        self._n_detectors = 0

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
        with self._operation.within(timeout_s):
            self._drop()
            labels = self._labels = Labels(self.name)
            control = self._link(self._url, Lines(END_OF_MESSAGE), "control", labels.take_message)
            counts = self._link(self._counts_url, Lines(), "counts", labels.take_counts)
            labels.is_lost = lambda: control.error or counts.error
            try:
                for link in (control, counts):
                    link.open(timeout_s=timeout_s)
                    self._links = (*self._links, link)
                self._read_back(("NumberOfDetectors", "InptMeasurementPeriod"), timeout_s)
                number = labels.get("NumberOfDetectors")
                if not isinstance(number, int) or not 1 <= number <= MOST_DETECTORS:
                    raise ProtocolError(f"'{self.name}' reports {number!r} detectors")
            except InstrumentError:
                self._drop()
                raise
            self._n_detectors = number
            return Identity("Single Quantum", "WebSQ")

    def close(self) -> None:
        """Switch the detectors off and let go of the unit."""
        with self._operation.within():
            try:
                if self._links:
                    self.enable(False)
            except InstrumentError:
                return  # it is gone or deaf; nothing more can be done from here
            finally:
                self._drop()

    def status(self) -> InstrumentStatus:
        """Return how the unit is, without asking it."""
        links = self._links
        lost = self._labels.is_lost()
        if len(links) < 2 or lost is not None:
            return InstrumentStatus(InstrumentState.DISCONNECTED, str(lost or ""))
        counters = links[0].counters.as_mapping() | {"count_lines": self._labels.counts.number}
        return InstrumentStatus(InstrumentState.READY, counters=counters)

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `period_s`, `enabled`, and per channel `bias_N_A` and `threshold_N_v`."""
        wanted = ("InptMeasurementPeriod", "DetectorEnable", "BiasCurrent", "TriggerLevel")
        with self._operation.within(timeout_s):
            self._read_back(wanted, timeout_s or REPLY_TIMEOUT_S)
            held: dict[str, Setting] = {
                "period_s": self._period_s(),
                "enabled": bool(self._labels.get("DetectorEnable")),
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
        wait_s = timeout_s or REPLY_TIMEOUT_S
        with self._operation.within(timeout_s):
            held = dict(self.settings(timeout_s=timeout_s))
            for key, value in settings.items():
                self._check_setting(key, value, held)
            if "period_s" in settings:
                self._set_period(float(settings["period_s"]), wait_s)
            channels = range(1, self._n_detectors + 1)
            merged = held | dict(settings)
            if any(key.startswith("bias_") for key in settings):
                self._set_biases([float(merged[f"bias_{c}_A"]) / MICRO for c in channels], wait_s)
            if any(key.startswith("threshold_") for key in settings):
                levels_mv = [float(merged[f"threshold_{c}_v"]) / MILLI for c in channels]
                self._set_triggers(levels_mv, wait_s)
            if "enabled" in settings:
                self.enable(bool(settings["enabled"]), timeout_s=timeout_s)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Switch the detectors off now, whatever is under way; does not wait for the unit."""
        command = _command("DetectorEnable", False)
        self._control().send(command, priority=Priority.STOP)

    def enable(self, on: bool, *, timeout_s: float | None = None) -> bool:
        """Switch all detectors on or off."""
        with self._operation.within(timeout_s):
            self._set(
                _command("DetectorEnable", on),
                "DetectorEnable",
                lambda held: held is on,
                timeout_s or REPLY_TIMEOUT_S,
            )
        return on

    def set_bias(self, channel: int, bias: float, *, timeout_s: float | None = None) -> float:
        """Set the bias current of one detector in ampere."""
        self._check_channel(channel)
        _check_range(f"bias of '{self.name}'", bias, BIAS_LIMIT_A, "A")
        with self._operation.within(timeout_s):
            self._read_back(("BiasCurrent",), timeout_s or REPLY_TIMEOUT_S)
            biases_ua = self._numbers("BiasCurrent")
            biases_ua[channel - 1] = bias / MICRO
            self._set_biases(biases_ua, timeout_s or REPLY_TIMEOUT_S)
            return self._numbers("BiasCurrent")[channel - 1] * MICRO

    def set_threshold_v(
        self, channel: int, threshold_v: float, *, timeout_s: float | None = None
    ) -> float:
        """Set the trigger level of one detector in volt."""
        self._check_channel(channel)
        _check_range(f"threshold of '{self.name}'", threshold_v, TRIGGER_LIMIT_V, "V")
        with self._operation.within(timeout_s):
            self._read_back(("TriggerLevel",), timeout_s or REPLY_TIMEOUT_S)
            levels_mv = self._numbers("TriggerLevel")
            levels_mv[channel - 1] = threshold_v / MILLI
            self._set_triggers(levels_mv, timeout_s or REPLY_TIMEOUT_S)
            return self._numbers("TriggerLevel")[channel - 1] * MILLI

    def count_rates(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return the counts per second of the next whole measurement period."""
        self._control()
        labels, before = self._labels, self._labels.counts.number
        period_s = self._period_s()
        wait_s = timeout_s or period_s + REPLY_TIMEOUT_S
        labels.wait(lambda: labels.counts.number > before, "a line of counts", wait_s)
        return tuple(count / period_s for count in labels.counts.counts)

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
            labels, control = self._labels, self._control()
            self._set(
                _command("DarkCountsAutoIV", targets),
                "DarkCountsAutoIV",
                lambda held: _is_near(held, targets, 1.0),
                REPLY_TIMEOUT_S,
            )
            started = labels.raised("StartAutoIV")
            control.send(_message(command="AutoCaliBiasCurrents", value=True))
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
                control.send(_message(command="AutoCaliBiasCurrents", value=False))
                raise
            self._read_back(("BiasCurrentAutoIV",), REPLY_TIMEOUT_S)
            biases_ua = self._numbers("BiasCurrentAutoIV")
            self._set_biases(biases_ua, REPLY_TIMEOUT_S)
            return tuple(bias_ua * MICRO for bias_ua in biases_ua)

    def _link(
        self,
        url: str,
        framer: Lines,
        port: str,
        take: Callable[[bytes], None],
    ) -> Link:
        return Link(
            make_wire(url),
            framer,
            name=f"{self.name} {port}",
            unsolicited=take,
            recorder=self._recorder,
        )

    def _drop(self) -> None:
        links, self._links = self._links, ()
        for link in links:
            link.close()

    def _control(self) -> Link:
        links = self._links
        if not links:
            raise NotConnected(f"'{self.name}' is not connected")
        lost = self._labels.is_lost()
        if lost is not None:
            raise NotConnected(f"'{self.name}' was lost: {lost}")
        return links[0]

    def _read_back(self, wanted: Sequence[str], timeout_s: float) -> None:
        """Ask for all labels and wait until those wanted were said again."""
        labels = self._labels
        labels.forget_errors()
        before = {label: labels.version(label) for label in wanted}
        self._control().send(_message(request="labelProps", value="None"))
        labels.wait(
            lambda: all(labels.version(label) > said for label, said in before.items()),
            ", ".join(wanted),
            timeout_s,
        )

    def _set(
        self, command: bytes, label: str, holds: Callable[[Json], bool], timeout_s: float
    ) -> None:
        """Send a command and wait until the unit says that it holds."""
        labels = self._labels
        labels.forget_errors()
        before = labels.version(label)
        self._control().send(command)
        # A value that stays the same may not be broadcast: ask for it, too.
        self._control().send(_message(request="labelProps", value="None"))
        labels.wait(
            lambda: labels.version(label) > before and holds(labels.get(label)), label, timeout_s
        )

    def _set_period(self, period_s: float, timeout_s: float) -> None:
        period_ms = round(period_s / MILLI)
        self._set(
            _message(
                command="SetMeasurementPeriod", label="InptMeasurementPeriod", value=period_ms
            ),
            "InptMeasurementPeriod",
            lambda held: _is_near([held], [period_ms], 0.5),
            timeout_s,
        )

    def _set_biases(self, biases_ua: list[float], timeout_s: float) -> None:
        self._set(
            _message(command="SetAllBiasCurrents", label="BiasCurrent", value=biases_ua),
            "BiasCurrent",
            lambda held: _is_near(held, biases_ua, BIAS_TOLERANCE_UA),
            timeout_s,
        )

    def _set_triggers(self, levels_mv: list[float], timeout_s: float) -> None:
        self._set(
            _message(command="SetAllTriggerLevels", label="TriggerLevel", value=levels_mv),
            "TriggerLevel",
            lambda held: _is_near(held, levels_mv, TRIGGER_TOLERANCE_MV),
            timeout_s,
        )

    def _numbers(self, label: str) -> list[float]:
        """Return a label that must hold one number per detector."""
        value = self._labels.get(label)
        if not _is_near(value, [0.0] * self._n_detectors, math.inf):
            raise ProtocolError(f"'{self.name}' reports {label} = {value!r}")
        assert isinstance(value, list)
        return [float(number) for number in value]

    def _period_s(self) -> float:
        period_ms = self._labels.get("InptMeasurementPeriod")
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


def _message(**content: Json) -> bytes:
    return json.dumps(content).encode("ascii")


def _command(label: str, value: Json) -> bytes:
    return _message(command=label, label=label, value=value)


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
