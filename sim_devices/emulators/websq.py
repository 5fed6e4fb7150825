"""The Single Quantum EOS/Atlas driver for superconducting detectors (WebSQ, two TCP ports).

Source: the maker's driver. Control (port 12000): JSON objects without any delimiter come in,
JSON messages that end with byte 0x17 go out, each whole; changes are broadcast to all clients.
Counts (port 12345): one text line per measurement period, `unix time,c1,...,cn`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TypeGuard

from sim_devices.emulators.emulator import Emulator, Output, PortKind, number_option
from sim_devices.emulators.faults import FaultKind, faults_option
from sim_devices.emulators.json_stream import JsonObjects
from sim_devices.emulators.station import N_DETECTORS, RandomStation, Station

CONTROL, COUNTS = 0, 1
END = b"\x17"
SHORTEST_PERIOD_MS = 10
LONGEST_PERIOD_MS = 60_000
LARGEST_BIAS_UA = 90.9
LARGEST_TRIGGER_MV = 400.0
LARGEST_DARK_CPS = 1e9
AUTO_BIAS_S = 1.0
# Resistance of the bias line: 20 uA show as 200 mV, and as 2 V through a wire that has latched.
MILLIVOLT_PER_UA = 10.0
LATCHED_MILLIVOLT_PER_UA = 100.0


class WebSqEmulator(Emulator):
    """Options: `detectors` (alone), `rate_cps` (alone), `seed`, `unix_start_s`, `faults`."""

    ports = (PortKind.STREAM, PortKind.STREAM)
    default_listen = ("tcp://127.0.0.1:12000", "tcp://127.0.0.1:12345")

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        n_alone = int(number_option(options, "detectors", N_DETECTORS))
        n_detectors = n_alone if station is None else station.n_detectors
        rate_cps = number_option(options, "rate_cps", 10_000.0)
        seed = int(number_option(options, "seed", 2))
        alone = RandomStation((rate_cps,) * n_detectors, seed)
        self._station = alone if station is None else station
        self._n_detectors = n_detectors
        self._unix_start_s = number_option(options, "unix_start_s", 1_700_000_000.0)
        self._faults = faults_option(options)
        self._readers: dict[int, JsonObjects] = {}
        self._next_counts_s = 0.0
        self._auto_bias_ends_s: float | None = None
        self._labels: dict[str, object] = {
            "NumberOfDetectors": n_detectors,
            "InptMeasurementPeriod": 100,
            "BiasCurrent": [20.0] * n_detectors,
            "BiasVoltage": [],
            "TriggerLevel": [100.0] * n_detectors,
            "DetectorEnable": True,
            "StartAutoIV": False,
            "DarkCountsAutoIV": [100.0] * n_detectors,
            "BiasCurrentAutoIV": [20.0] * n_detectors,
            "IVScanEnable": False,
            "IVHistory": [],
            "TemperatureHistory": [2.5],
        }

    def connected(self, port: int, client: int) -> bytes:
        """Listen to a new client; nobody is greeted."""
        if port == CONTROL:
            self._readers[client] = JsonObjects()
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Forget the client."""
        self._readers.pop(client, None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the JSON objects that are complete now; the counts port hears nothing."""
        if port != CONTROL:
            return []
        reader = self._readers.setdefault(client, JsonObjects())
        outputs: list[Output] = []
        for message in reader.feed(received):
            outputs += self._obey(message, client, now_s)
        return outputs

    def tick(self, now_s: float) -> list[Output]:
        """Send a line of counts when a period is over, and end a running auto bias."""
        outputs = []
        if now_s >= self._next_counts_s:
            outputs.append(self._counts_line(now_s))
        if self._auto_bias_ends_s is not None and now_s >= self._auto_bias_ends_s:
            self._auto_bias_ends_s = None
            self._set_bias([20.0] * self._n_detectors)
            outputs += self._change("BiasCurrentAutoIV", [20.0] * self._n_detectors)
            outputs += [self._changed("BiasCurrent"), self._changed("BiasVoltage")]
            outputs += self._change("StartAutoIV", False)
        if self._faults.strikes(FaultKind.DEVICE_ERROR, now_s):
            outputs.append(_message("DeviceError", "cryostat temperature above 3 K"))
        return outputs

    def _counts_line(self, now_s: float) -> Output:
        period_s = float(str(self._labels["InptMeasurementPeriod"])) / 1000.0
        self._next_counts_s = max(self._next_counts_s + period_s, now_s)
        counts = self._station.take_counts(now_s).tolist()
        words = [f"{self._unix_start_s + now_s:.6f}", *(str(count) for count in counts)]
        return Output(COUNTS, None, ",".join(words).encode() + b"\n", droppable=True)

    def _obey(self, message: Mapping[str, object], client: int, now_s: float) -> list[Output]:
        request, command = message.get("request"), message.get("command")
        self._labels["BiasVoltage"] = self._bias_voltage_mv()
        if request == "labelProps":
            return [self._full_label(label, client) for label in self._labels]
        if isinstance(request, str) and request in self._labels:
            return [_message(request, self._labels[request], client)]
        if request is not None:
            return [_message("Error", f"unknown request {request}", client)]
        return self._command(str(command), message.get("value"), now_s)

    def _command(self, command: str, value: object, now_s: float) -> list[Output]:
        if command == "SetMeasurementPeriod":
            return self._set_period(value, now_s)
        if command in _LISTS:
            return self._set_list(*_LISTS[command], value)
        if command == "DetectorEnable":
            if not isinstance(value, bool):
                return [_message("DetectorEnableError", "expected true or false")]
            self._station.set_enabled(value)
            return self._change("DetectorEnable", value)
        if command == "AutoCaliBiasCurrents":
            return self._start_auto_bias(value is not False, now_s)
        return [_message("Error", f"unknown command {command}")]

    def _start_auto_bias(self, on: bool, now_s: float) -> list[Output]:
        """Start the search for the biases, or give it up."""
        self._auto_bias_ends_s = now_s + AUTO_BIAS_S if on else None
        return self._change("StartAutoIV", on)

    def _set_period(self, value: object, now_s: float) -> list[Output]:
        if not _is_number(value) or not SHORTEST_PERIOD_MS <= value <= LONGEST_PERIOD_MS:
            return [_message("InptMeasurementPeriodError", "expected 10 to 60000 ms")]
        self._next_counts_s = now_s
        return self._change("InptMeasurementPeriod", value)

    def _set_list(self, label: str, low: float, high: float, value: object) -> list[Output]:
        values = self._list(value, low, high)
        if values is None:
            wanted = f"expected {self._n_detectors} values, {low:g} to {high:g} {_UNITS[label]}"
            return [_message(f"{label}Error", wanted)]
        if label == "BiasCurrent":
            self._set_bias(values)
            return [self._changed("BiasCurrent"), self._changed("BiasVoltage")]
        if label == "TriggerLevel":
            for number, level in enumerate(values, 1):
                self._station.set_threshold(number, level)
        return self._change(label, values)

    def _set_bias(self, currents: Sequence[float]) -> None:
        for number, current in enumerate(currents, 1):
            self._station.set_bias(number, abs(current))
        self._labels["BiasCurrent"] = list(currents)
        self._labels["BiasVoltage"] = self._bias_voltage_mv()

    def _bias_voltage_mv(self) -> list[float]:
        currents = self._labels["BiasCurrent"]
        assert isinstance(currents, list)
        return [
            current * (LATCHED_MILLIVOLT_PER_UA if is_latched else MILLIVOLT_PER_UA)
            for current, is_latched in zip(currents, self._station.latched, strict=True)
        ]

    def _list(self, value: object, low: float, high: float) -> list[float] | None:
        if not isinstance(value, list) or len(value) != self._n_detectors:
            return None
        if not all(_is_number(item) and low <= item <= high for item in value):
            return None
        return value

    def _change(self, label: str, value: object) -> list[Output]:
        self._labels[label] = value
        return [self._changed(label)]

    def _changed(self, label: str) -> Output:
        return _message(label, self._labels[label])

    def _full_label(self, label: str, client: int) -> Output:
        properties: dict[str, object] = {
            "value": self._labels[label],
            "unit": _UNITS.get(label, ""),
        }
        if label in _BOUNDS:
            properties["min"], properties["max"] = _BOUNDS[label]
        return _message(label, properties, client)


# Commands that set one value for each detector: the label they set, its least and largest value.
_LISTS = {
    "SetAllBiasCurrents": ("BiasCurrent", -LARGEST_BIAS_UA, LARGEST_BIAS_UA),
    "SetAllTriggerLevels": ("TriggerLevel", 0.0, LARGEST_TRIGGER_MV),
    "DarkCountsAutoIV": ("DarkCountsAutoIV", 0.0, LARGEST_DARK_CPS),
}
_UNITS = {
    "InptMeasurementPeriod": "ms",
    "BiasCurrent": "uA",
    "BiasVoltage": "mV",
    "TriggerLevel": "mV",
    "DarkCountsAutoIV": "cps",
    "BiasCurrentAutoIV": "uA",
    "TemperatureHistory": "K",
}
_BOUNDS = {
    "InptMeasurementPeriod": (SHORTEST_PERIOD_MS, LONGEST_PERIOD_MS),
    "BiasCurrent": (-LARGEST_BIAS_UA, LARGEST_BIAS_UA),
    "TriggerLevel": (0, LARGEST_TRIGGER_MV),
}


def _is_number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _message(label: str, value: object, client: int | None = None) -> Output:
    return Output(CONTROL, client, json.dumps({"label": label, "value": value}).encode() + END)
