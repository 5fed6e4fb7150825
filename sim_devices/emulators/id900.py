"""The ID Quantique ID900 time controller with its data link service, both on ZeroMQ.

Source: ID Quantique, "ID900 Time Controller User Guide". Every request gets one reply, settings
too: they echo the value the device took.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from sim_devices.emulators.emulator import Emulator, Output, PortKind, number_option
from sim_devices.emulators.faults import FaultKind, faults_option
from sim_devices.emulators.id900_counters import Counters
from sim_devices.emulators.id900_dlt import DataLink
from sim_devices.emulators.id900_syntax import (
    INVALID_COMMAND,
    INVALID_PARAMETER,
    NO_CONNECTION,
    Command,
    accepted,
    commands,
    first_value,
    is_setting,
)
from sim_devices.emulators.station import N_DETECTORS, RandomStation, Station

SCPI, DATA_LINK = 0, 1
CHUNK_S = 0.02
# Above this rate in sum over all inputs the raw buffers overflow.
LARGEST_RATE_HZ = 10e6
PS_PER_S = 10**12
SLOTS_PS = {"HIRES": 13, "LOWRES": 100}
# `CONF:LOAD COUNT`: combiner number and its two inputs, as the maker's table has them.
COINCIDENCES = {6: (1, 2), 7: (1, 3), 8: (1, 4), 3: (2, 3), 4: (2, 4), 5: (3, 4)}
# And those of three and four inputs: a combiner and one input more.
LARGER = {13: (6, 3), 14: (6, 4), 15: (7, 4), 16: (3, 4), 24: (13, 4)}
# The pulse generators start and stop; nothing here hears their pulses.
_GENERATORS = {
    (f"GEN{number}:{verb}", False): verb for number in range(1, 9) for verb in ("PLAY", "STOP")
}
# The blocks that count, and how many of each there are.
_COUNTING = ("STAR", "INPU", "TSCO", "HIST")
_COUNTING_BLOCK = re.compile(r"STAR|(INPU|HIST)[1-4]|TSCO([1-9]|[12]\d|3[0-2])")


class Id900Emulator(Emulator):
    """Options: `rate_cps` (each input, alone), `seed`, `faults` (overflow)."""

    ports = (PortKind.REPLY, PortKind.REPLY, PortKind.PAIR)
    default_listen = ("tcp://127.0.0.1:0", "tcp://127.0.0.1:0")

    def __init__(
        self, station: Station | None = None, options: Mapping[str, object] | None = None
    ) -> None:
        options = options or {}
        rate_cps = number_option(options, "rate_cps", 15_000.0)
        alone = RandomStation((rate_cps,) * N_DETECTORS, int(number_option(options, "seed", 8)))
        self._station = alone if station is None else station
        self._faults = faults_option(options)
        self._settings: dict[str, str] = {}
        self._counters = Counters(self._value)
        self._data_link = DataLink()
        self._taken_s = 0.0
        self._raw_errors = [0] * N_DETECTORS
        self._starts_s: float | None = None
        self._left = 0

    def connected(self, port: int, client: int) -> bytes:
        """ZeroMQ knows no greeting."""
        return b""

    def disconnected(self, port: int, client: int) -> None:
        """Nothing is kept for a client."""

    def feed(self, port: int, client: int, received: bytes, now_s: float) -> list[Output]:
        """Answer one request."""
        request = received.decode("utf-8", "replace")
        if port == DATA_LINK:
            reply, streamed = self._data_link.answer(request, now_s)
            return [*streamed, Output(DATA_LINK, client, reply.encode())]
        replies = [self._obey(command, now_s) for command in commands(request)]
        text = "\n".join(replies) if replies else INVALID_COMMAND
        return [Output(SCPI, client, text.encode())]

    def tick(self, now_s: float) -> list[Output]:
        """Count, stream, and end acquisitions whose time is over."""
        outputs: list[Output] = []
        while self._starts_s is not None and now_s >= self._ends_s():
            outputs += self._run_until(self._ends_s())
            outputs += self._end_acquisition()
        n_chunks = int((now_s - self._taken_s) / CHUNK_S)
        if n_chunks:
            outputs += self._run_until(self._taken_s + n_chunks * CHUNK_S)
        return outputs

    def _value(self, header: str) -> str:
        return self._settings.get(header) or first_value(header)

    def _obey(self, command: Command, now_s: float) -> str:
        header = command.header
        if header == "*IDN" and command.is_query:
            return "ID Quantique,ID900,00000001,1.0.0"
        if header in {"*RST", "*CLS"}:
            self._settings.clear()
            return "OK"
        special = self._special(command, now_s)
        if special is not None:
            return special
        if not is_setting(header):
            return INVALID_COMMAND
        if not command.is_query:
            value = accepted(header, command.argument)
            if value is None or self._is_too_fine(header, value):
                return NO_CONNECTION if header.endswith(":LINK") else INVALID_PARAMETER
            self._settings[header] = value
            if header == "DEVI:CONF:LOAD" and value == "COUNT":
                self._load_coincidences()
        return self._value(header)

    def _is_too_fine(self, header: str, value: str) -> bool:
        """Tell whether a histogram's bin would be narrower than the slots."""
        if not (header.startswith("HIST") and header.endswith(":BWID")):
            return False
        return int(value.removesuffix("TB")) < SLOTS_PS[self._value("DEVI:RES")]

    def _special(self, command: Command, now_s: float) -> str | None:
        """Obey what is no plain setting; None if it is one."""
        nodes = command.header.split(":")
        if nodes[0] == "REC":
            return self._record(nodes[-1], now_s, is_query=command.is_query)
        counted = self._counted(nodes, is_query=command.is_query)
        if counted is not None:
            return counted
        if "ERRO" in nodes or nodes[-2:] == ["HIRE", "CLEA"]:
            return self._error(nodes)
        plain = {
            **_GENERATORS,
            ("DEVI:RES:BWID", True): f"{SLOTS_PS[self._value('DEVI:RES')]}TB",
            ("DEVI:SAMP:RECA", False): "Recalibration done",
        }
        return plain.get((command.header, command.is_query))

    def _counted(self, nodes: list[str], *, is_query: bool) -> str | None:
        """Obey what is for a counter or a histogram; None if it is for none."""
        if not nodes[0].startswith(_COUNTING):
            return None
        if _COUNTING_BLOCK.fullmatch(nodes[0]) is None:
            return INVALID_COMMAND
        if nodes[-1] == "COUN" and is_query:
            return self._counters.shown(nodes[0])
        if nodes[-2:] == ["COUN", "RESE"]:
            self._counters.reset(nodes[0])
            return "Counter value set to 0 "
        if nodes[0].startswith("HIST") and nodes[-1] in {"FLUS", "DATA"}:
            return self._counters.histogram(nodes[0], flush=nodes[-1] == "FLUS")
        return None

    def _error(self, nodes: list[str]) -> str:
        if "HIRE" in nodes:
            return "Cleared Highres errors" if nodes[-1] == "CLEA" else "0"
        number = nodes[0].removeprefix("RAW")
        if number not in {"1", "2", "3", "4"}:
            return INVALID_COMMAND
        if nodes[-1] == "CLEA":
            self._raw_errors[int(number) - 1] = 0
            return "Cleared errors"
        return str(self._raw_errors[int(number) - 1])

    def _record(self, action: str, now_s: float, *, is_query: bool) -> str | None:
        if action == "STAG" and is_query:
            return "STOPPED" if self._starts_s is None else "PLAYING"
        if action == "PLAY":
            self._run_until(now_s)
            self._starts_s = now_s
            number = self._value("REC:NUM")
            self._left = -1 if number == "INF" else int(number)
            return "PLAY"
        if action == "STOP":
            self._starts_s = None
            return "STOP"
        return None

    def _ends_s(self) -> float:
        start_s = 0.0 if self._starts_s is None else self._starts_s
        return start_s + max(int(self._value("REC:DUR").removesuffix("TB")) / PS_PER_S, CHUNK_S)

    def _end_acquisition(self) -> list[Output]:
        ended_s = self._ends_s()
        self._left -= 1
        self._starts_s = None if self._left == 0 else ended_s
        outputs: list[Output] = []
        for channel in range(1, N_DETECTORS + 1):
            outputs += self._data_link.end_acquisition(channel)
        return outputs

    def _run_until(self, until_s: float) -> list[Output]:
        """Go on in steps that the counters' cycles are made of."""
        cycles_ms = [int(v) for name, v in self._settings.items() if name.endswith(":COUN:INTE")]
        step_s = math.gcd(round(CHUNK_S * 1000), *cycles_ms) / 1000
        outputs: list[Output] = []
        while self._taken_s + step_s < until_s:
            outputs += self._step_to(self._taken_s + step_s)
        return outputs + (self._step_to(until_s) if until_s > self._taken_s else [])

    def _step_to(self, until_s: float) -> list[Output]:
        from_s, self._taken_s = self._taken_s, until_s
        times_ps, inputs = self._station.take_tags(until_s)
        enabled = [n for n in (1, 2, 3, 4) if self._value(f"INPU{n}:ENAB") == "ON"]
        clicks = {n: times_ps[inputs == n] for n in enabled}
        self._counters.count(clicks, from_s, until_s)
        if self._starts_s is None:
            return []
        self._notice_overflow(len(times_ps) / (until_s - from_s), until_s)
        return self._stream(clicks, until_s)

    def _notice_overflow(self, rate_hz: float, now_s: float) -> None:
        if rate_hz > LARGEST_RATE_HZ or self._faults.strikes(FaultKind.OVERFLOW, now_s):
            self._raw_errors = [errors + 1 for errors in self._raw_errors]

    def _stream(self, clicks: Mapping[int, NDArray[np.int64]], now_s: float) -> list[Output]:
        start_ps = self._station.stamp_at(self._starts_s or 0.0)
        outputs: list[Output] = []
        for channel, times_ps in clicks.items():
            if self._value(f"RAW{channel}:SEND") == "ON" and not self._raw_errors[channel - 1]:
                delayed_ps = times_ps + self._delay_ps(channel)
                since_ps = delayed_ps[delayed_ps >= start_ps] - start_ps
                outputs += self._data_link.take(channel, since_ps, now_s)
        return outputs

    def _delay_ps(self, channel: int) -> int:
        """Return the delay of the block that a raw channel is linked to; 0 for a bare input."""
        source = self._value(f"RAW{channel}:STOP:LINK")
        if not source.startswith("DELA"):
            return 0
        return int(self._value(f"{source}:VALU").removesuffix("TB"))

    def _load_coincidences(self) -> None:
        for number, (first, second) in COINCIDENCES.items():
            self._settings[f"TSCO{number}:FIR:LINK"] = f"INPU{first}"
            self._settings[f"TSCO{number}:SECO:LINK"] = f"INPU{second}"
        for number, (smaller, last) in LARGER.items():
            self._settings[f"TSCO{number}:FIR:LINK"] = f"TSCO{smaller}"
            self._settings[f"TSCO{number}:SECO:LINK"] = f"INPU{last}"
