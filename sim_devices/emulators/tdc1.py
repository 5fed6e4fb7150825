"""The S-Fifteen TDC1, a counter and time stamper with four inputs and 2 ns slots.

Written from the maker's command list. Commands end with `;` or a line feed, in any case; queries
are answered by one line, settings and nonsense by nothing. While it streams words it obeys only
`abort` and `*RST`. The stream goes to the client that started it, or to the next one that shows up.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from sim_devices.emulators.emulator import (
    Emulator,
    LineBuffer,
    Outbox,
    Output,
    PortKind,
    number_option,
)
from sim_devices.emulators.faults import FaultKind, faults_option
from sim_devices.emulators.station import N_DETECTORS, RandomStation, Station
from sim_devices.emulators.tdc1_words import UNIT_PS, pack

CHUNK_S = 0.02
# Data sheet: more than 10 M events/s on average; beyond that words are lost.
LARGEST_RATE_HZ = 10e6
# Two inputs that click within this time count as a pair (two slots; the window is not published).
PAIR_WINDOW_PS = 2 * UNIT_PS
LATE_DATA_S = 0.03
PAIRS = ((1, 3), (1, 4), (2, 3), (2, 4))
HELP = (
    "TDC1 commands: *IDN? *RST HELP SINGLES PAIRS TIMESTAMP MODE? TIME <ms> TIME?",
    "COUNTS? NIM TTL NEG <V> POS <V> LEVEL? REFCLK <0|1|2> REFCLK? ECLOCK? INPKT ABORT",
)


class Tdc1Emulator(Emulator):
    """Options: `rate_cps` (each input, alone), `seed`, `external_clock` (0 or 1), `faults`."""

    ports = (PortKind.STREAM,)
    default_listen = ("tcp://127.0.0.1:0",)

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        rate_cps = number_option(options, "rate_cps", 15_000.0)
        seed = int(number_option(options, "seed", 1))
        spread = rate_cps * np.array([1.0, 0.8, 1.2, 0.9])
        alone = RandomStation(spread.tolist(), seed)
        self._station = alone if station is None else station
        self._external_clock = int(number_option(options, "external_clock", 0.0))
        self._faults = faults_option(options)
        self._buffers: dict[int, LineBuffer] = {}
        self._later = Outbox()
        self._taken_s = 0.0
        self._client: int | None = None
        self._reset()

    def connected(self, port: int, client: int) -> bytes:
        """Note the client; a stream without a reader goes on to it."""
        self._buffers[client] = LineBuffer(b";\n")
        if self._client is None:
            self._client = client
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Forget the client; a stream it started goes on, to whoever comes next."""
        self._buffers.pop(client, None)
        if self._client == client:
            self._client = next(iter(self._buffers), None)

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Obey the commands that are complete now."""
        buffer = self._buffers.setdefault(client, LineBuffer(b";\n"))
        outputs: list[Output] = []
        for command in buffer.feed(received):
            outputs += self._obey(command.decode("latin-1").split(), client, now_s)
        return outputs

    def tick(self, now_s: float) -> list[Output]:
        """Emit what was clicked in the last 20 ms, or the counts when their time is over."""
        outputs = self._later.due(now_s)
        if self._is_running and self._ends_s is not None and now_s >= self._ends_s:
            outputs += self._run_until(self._ends_s)
            outputs += self._finish()
        if now_s - self._taken_s >= CHUNK_S:
            outputs += self._run_until(now_s)
        return outputs

    def _reset(self) -> None:
        self._mode = 0
        self._time_ms = 1000
        self._level_V = -0.5
        self._refclk = 0
        self._is_running = False
        self._ends_s: float | None = None
        self._counts = np.zeros(N_DETECTORS + len(PAIRS), dtype=np.int64)

    def _obey(self, words: list[str], client: int, now_s: float) -> list[Output]:
        name = words[0].upper() if words else ""
        if self._is_streaming and name not in {"ABORT", "*RST"}:
            return []
        if name == "ABORT":
            return self._abort(now_s)
        if name == "*RST":
            outputs = self._abort(now_s)
            self._reset()
            return outputs
        if name == "COUNTS?":
            return self._start(client, now_s)
        if name in self._answers:
            return [Output(0, client, self._answers[name](self).encode() + b"\r\n")]
        self._set(name, words[1:])
        return []

    def _set(self, name: str, arguments: list[str]) -> None:
        if name in _MODES:
            self._mode = _MODES[name]
            self._is_running = False
        elif name in _PRESETS_V:
            self._level_V = _PRESETS_V[name]
        elif len(arguments) == 1:
            try:
                self._set_number(name, float(arguments[0]))
            except ValueError:
                return

    def _set_number(self, name: str, value: float) -> None:
        if name == "TIME" and 0 <= value <= 65535:
            self._time_ms = int(value)
        elif name in {"NEG", "POS"} and abs(value) <= 3.3:
            self._level_V = value
        elif name == "REFCLK" and value in {0, 1, 2}:
            self._refclk = int(value)

    @property
    def _is_streaming(self) -> bool:
        return self._is_running and self._mode == _MODES["TIMESTAMP"]

    def _start(self, client: int, now_s: float) -> list[Output]:
        self._run_until(now_s)
        self._client = client
        self._is_running = True
        self._ends_s = now_s + self._time_ms / 1000.0 if self._time_ms else None
        self._counts[:] = 0
        return []

    def _abort(self, now_s: float) -> list[Output]:
        outputs = self._run_until(now_s) if self._is_streaming else []
        if self._is_streaming and self._faults.strikes(FaultKind.LATE_DATA, now_s):
            self._later.put(now_s + LATE_DATA_S, self._stream(b"\x21\x00\x00\x00" * 64))
        self._is_running = False
        return outputs

    def _finish(self) -> list[Output]:
        was_streaming = self._is_streaming
        self._is_running = False
        if was_streaming:
            return []
        shown = self._counts if self._mode == _MODES["PAIRS"] else self._counts[:N_DETECTORS]
        line = " ".join(str(count) for count in shown.tolist())
        return [Output(0, self._client, line.encode() + b"\r\n")]

    def _run_until(self, until_s: float) -> list[Output]:
        """Take the clicks up to a time, and stream or count them, or let them go."""
        if until_s <= self._taken_s:
            return []
        from_s, self._taken_s = self._taken_s, until_s
        times_ps, channels = self._station.take_tags(until_s)
        if not self._is_running:
            return []
        if not self._is_streaming:
            self._counts += _counted(times_ps, channels)
            return []
        largest = int(LARGEST_RATE_HZ * (until_s - from_s)) + 1
        if self._faults.strikes(FaultKind.OVERFLOW, until_s):
            largest = len(times_ps) // 2
        from_ps, until_ps = self._station.stamp_at(from_s), self._station.stamp_at(until_s)
        words = pack(times_ps[:largest], channels[:largest], from_ps, until_ps).tobytes()
        if len(words) > 8 and self._faults.strikes(FaultKind.SLIP, until_s):
            words = words[:4] + words[6:]
        return [self._stream(words)] if words else []

    def _stream(self, words: bytes) -> Output:
        return Output(0, -1 if self._client is None else self._client, words, droppable=True)

    def _signed_time(self) -> str:
        # The reply is a signed 16-bit number, as in the real firmware.
        return str(self._time_ms - 65536 if self._time_ms > 32767 else self._time_ms)

    _answers: Mapping[str, Callable[[Tdc1Emulator], str]] = {
        "*IDN?": lambda self: "TDC1 S-Fifteen Instruments, emulated",
        "HELP": lambda self: "\r\n".join(HELP),
        "MODE?": lambda self: str(self._mode),
        "TIME?": _signed_time,
        "LEVEL?": lambda self: f"{self._level_V:g} V",
        "REFCLK?": lambda self: str(self._refclk),
        "ECLOCK?": lambda self: str(self._external_clock),
    }


_MODES = {"SINGLES": 0, "PAIRS": 1, "TIMESTAMP": 3}
_PRESETS_V = {"NIM": -0.5, "TTL": 1.2}


def _counted(times_ps: NDArray[np.int64], channels: NDArray[np.uint8]) -> NDArray[np.int64]:
    """Return the four singles and the pairs 13, 14, 23, 24."""
    singles = np.bincount(channels, minlength=N_DETECTORS + 1)[1 : N_DETECTORS + 1]
    pairs = []
    for first, second in PAIRS:
        starts, others = times_ps[channels == first], times_ps[channels == second]
        low = np.searchsorted(others, starts - PAIR_WINDOW_PS, side="left")
        high = np.searchsorted(others, starts + PAIR_WINDOW_PS, side="right")
        pairs.append(np.count_nonzero(high > low))
    return np.concatenate([singles, np.array(pairs, dtype=np.int64)])
