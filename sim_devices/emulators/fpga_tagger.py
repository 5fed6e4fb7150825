"""A time tagger on an FPGA board, with as many inputs as the station has detectors."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from sim_devices.emulators.emulator import Output, number_option
from sim_devices.emulators.faults import FaultKind, faults_option
from sim_devices.emulators.fpga_board import (
    START,
    STOP,
    TAGS,
    FpgaBoardEmulator,
    Refusal,
    Setting,
    frame,
)
from sim_devices.emulators.station import RandomStation, Station

SPAN_S = 0.02
# Beyond this many tags a span the memory is full and the rest is lost, and counted.
LARGEST_RATE_HZ = 20e6


class FpgaTaggerEmulator(FpgaBoardEmulator):
    """Options: `rate_cps` and `inputs` (alone), `seed`, `faults` (overflow)."""

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        inputs = int(number_option(options, "inputs", 8))
        rates = (number_option(options, "rate_cps", 15_000.0),) * inputs
        alone = RandomStation(rates, int(number_option(options, "seed", 5)))
        self._station = alone if station is None else station
        self._faults = faults_option(options)
        count = self._station.n_detectors
        settings: dict[str, Setting] = {"reference": "internal"}
        for number in range(1, count + 1):
            settings |= {f"threshold_{number}_v": 0.5, f"edge_{number}": "rising"}
        super().__init__(
            {
                "role": "tagger",
                "maker": "open hardware",
                "model": "tagger board, emulated",
                "serial": "T1",
                "firmware": "1.0",
                "inputs": count,
                "resolution_ps": 1,
                "jitter_ps": 10,
                "max_rate_cps": LARGEST_RATE_HZ,
            },
            settings,
        )
        self._client: int | None = None
        self._taken_s = 0.0

    def obey(self, kind: int, payload: bytes, client: int, now_s: float) -> bytes:
        """Start or stop the stream of the client that asks."""
        if kind == START:
            self._take(now_s)
            self._client = client
        elif kind == STOP:
            self._client = None
        else:
            raise Refusal("a tagger does not do this")
        return b""

    def check(self, name: str, value: Setting) -> None:
        """Refuse a threshold beyond the range and a word that is none of the choices."""
        if name.startswith("threshold") and not -5.0 <= float(value) <= 5.0:
            raise Refusal(f"{name} is -5 to 5 V")
        if name.startswith("edge") and value not in {"rising", "falling"}:
            raise Refusal(f"{name} is rising or falling")
        if name == "reference" and value not in {"internal", "external", "auto"}:
            raise Refusal("reference is internal, external or auto")

    def disconnected(self, port: int, client: int) -> None:
        """End the stream of a client that is gone."""
        super().disconnected(port, client)
        if self._client == client:
            self._client = None

    def tick(self, now_s: float) -> list[Output]:
        """Send what was clicked in the last 20 ms."""
        if now_s - self._taken_s < SPAN_S:
            return []
        span = self._take(now_s)
        if self._client is None:
            return []
        return [Output(0, self._client, frame(TAGS, 0, span), droppable=True)]

    def _take(self, until_s: float) -> bytes:
        from_s, self._taken_s = self._taken_s, max(until_s, self._taken_s)
        times_ps, inputs = self._station.take_tags(self._taken_s)
        largest = int(LARGEST_RATE_HZ * (self._taken_s - from_s)) + 1
        if self._client is not None and self._faults.strikes(FaultKind.OVERFLOW, until_s):
            largest = len(times_ps) // 2
        lost = max(0, len(times_ps) - largest)
        times_ps, inputs = times_ps[:largest], inputs[:largest]
        ends = self._station.stamp_at(from_s), self._station.stamp_at(self._taken_s)
        head = struct.pack("<qqiI", *ends, lost, len(times_ps))
        return head + times_ps.astype("<i8").tobytes() + inputs.tobytes()
