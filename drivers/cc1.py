"""Qubitekk CC1 coincidence counter: counts of two inputs and of their coincidences, no time stamps.

Source: the command set of firmware 2.2 as the unit's users know it. With acknowledgement off,
settings are silent, so each is verified by its query; values come with their unit behind a blank.
Older firmware answers and obeys otherwise and is refused.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from drivers.knobs import Setting
from drivers.operation import all_or_none, sit_out
from drivers.text_line import SerialLine, TextLine, number
from qnx_hw.errors import (
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import TagStream, TimeTagger
from qnx_hw.instruments.values import (
    Edge,
    Identity,
    InstrumentStatus,
    Reference,
    TaggerCapabilities,
)
from qnx_hw.transports import Fence, Recorder

SERIAL_BAUD = 19_200
OLDEST_FIRMWARE = (2, 2)
UNKNOWN = "Unknown command"
# No document gives limits of the dwell; these keep a typing error from the wire.
DWELL_RANGE_S = (0.001, 1000.0)
# No document gives a jitter or a rate either: here the window's step, and a generous guess.
CAPABILITIES = TaggerCapabilities(
    n_channels=2,
    resolution_ps=1000,  # the window comes in steps of 1 ns
    jitter_ps=1000,
    max_rate_cps=1e7,
    per_channel_threshold=False,
    has_delay=True,
    has_dead_time=False,
    has_external_clock=False,
    counts_only=True,
    threshold_range_v=(0.0, 0.0),
)
_MODES = {"continuous": "CONT", "start_stop": "STOP"}
_FIRMWARE = re.compile(r"Firmware\s+v(\d+)\.(\d+)\S*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CoincidenceRates:
    """Counts per second of both inputs and of their coincidences."""

    input_1_cps: float
    input_2_cps: float
    coincidences_cps: float


class Cc1(TimeTagger):
    """A counter at `serial:///dev/ttyUSB0` or at `tcp://host:port`."""

    def __init__(self, url: str, *, name: str = "cc1", recorder: Recorder | None = None) -> None:
        self.name = name
        self._stopped = threading.Event()
        self._line = TextLine(
            url,
            name,
            recorder=recorder,
            serial=SerialLine(SERIAL_BAUD),
            fence=Fence(b"FIRM?\n", _is_firmware),
        )

    @property
    def capabilities(self) -> TaggerCapabilities:
        """Two inputs that are counted; their thresholds are fixed."""
        return CAPABILITIES

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """End acknowledgement and ask who is there; it counts on as it did."""
        with self._line.opening(timeout_s=timeout_s):
            # A unit that acknowledges does so for this command still, and for it alone.
            self._line.tell(":ACKN OF")
            self._line.link().drain()
            said = self._line.ask("FIRM?", timeout_s, accepts=_is_firmware)
            firmware = decode_firmware(said)
            if firmware < OLDEST_FIRMWARE:
                raise Unsupported(
                    f"'{self.name}' has firmware {firmware[0]}.{firmware[1]}: 2.2 is the oldest"
                    " that can be used"
                )
        return Identity("Qubitekk", "CC1", firmware=f"{firmware[0]}.{firmware[1]}")

    def close(self) -> None:
        """Let go of the counter, which only listens; a count that waits ends."""
        self._stopped.set()
        self._line.close()

    def status(self) -> InstrumentStatus:
        """Return how the counter is, without asking it."""
        return self._line.status()

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read gate, accidentals, trigger, window, delay (even numbers of ns) and dwell."""
        with self._line.operation.within(timeout_s):
            return {key: self._read(key, timeout_s) for key in _KNOBS}

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Set `gate_on`, `subtract_accidentals`, `trigger_mode`, `window_ns` and the like.

        All are checked before one is sent; if the unit holds another value, all are set back.
        """
        for key, value in settings.items():
            if key not in _KNOBS:
                raise Unsupported(f"'{self.name}' has no setting {key}")
            _KNOBS[key].encode(key, value)
        with self._line.operation.within(timeout_s):
            held = {key: self._read(key, timeout_s) for key in settings}
            with all_or_none(lambda: self._set_all(held, None)):
                self._set_all(settings, timeout_s)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """End a count now."""
        self._line.link()
        self._stopped.set()

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Refuse: the inputs take TTL pulses."""
        raise Unsupported(f"'{self.name}' has fixed thresholds")

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Refuse all but its own oscillator."""
        if reference is Reference.EXTERNAL:
            raise Unsupported(f"'{self.name}' has no input for a clock")
        return Reference.INTERNAL

    def count_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Count both inputs as `coincidence_rates` does."""
        rates = self.coincidence_rates(integration_s, timeout_s=timeout_s, cancel=cancel)
        return rates.input_1_cps, rates.input_2_cps

    def coincidence_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> CoincidenceRates:
        """Count inputs and coincidences; `dwell_s` is `integration_s` afterwards.

        Takes two dwells, so that a whole one lies behind the call. The unit has no latch: where a
        dwell ends between two answers, they are of neighbouring dwells.
        """
        _KNOBS["dwell_s"].encode("dwell_s", integration_s)
        with self._line.operation.within(timeout_s):
            self._stopped.clear()
            dwell_s = float(self._set("dwell_s", integration_s, None))
            sit_out(f"a count of '{self.name}'", 2.0 * dwell_s, self._stopped, cancel)
            counts = [self._count(name) for name in ("C1", "C2", "CO")]
        return CoincidenceRates(*(count / dwell_s for count in counts))

    def start_stream(self, *, block_s: float = 0.1, timeout_s: float | None = None) -> TagStream:
        """Refuse: the unit has no time stamps."""
        raise Unsupported(f"'{self.name}' counts only, it has no time stamps")

    def _count(self, name: str) -> int:
        reply = self._ask(f"COUN:{name}?", None)
        count = reply.partition(" ")[0]
        if not count.isdecimal():
            raise ProtocolError(f"'{self.name}' counted {reply!r}", reply.encode())
        return int(count)

    def _set_all(self, settings: Mapping[str, Setting], timeout_s: float | None) -> None:
        for key, value in settings.items():
            self._set(key, value, timeout_s)

    def _set(self, key: str, value: Setting, timeout_s: float | None) -> Setting:
        command = _KNOBS[key].encode(key, value)
        self._line.tell(command)
        held = self._read(key, timeout_s)
        if _KNOBS[key].encode(key, held) != command:
            raise InstrumentRefused(f"'{self.name}' holds {key} = {held}, not {value}")
        return held

    def _read(self, key: str, timeout_s: float | None) -> Setting:
        return _KNOBS[key].decode(self._ask(_KNOBS[key].query, timeout_s))

    def _ask(self, command: str, timeout_s: float | None) -> str:
        reply = self._line.ask(command, timeout_s)
        if reply == UNKNOWN:
            # It may be about the setting before; then the answer to this question is to come.
            self._line.link().drain()
            raise InstrumentRefused(f"'{self.name}' does not know '{command}' or what preceded it")
        return reply


@dataclass(frozen=True, slots=True)
class _Knob:
    """One setting: its question, and its value as a command and out of a reply."""

    query: str
    encode: Callable[[str, Setting], str]
    decode: Callable[[str], Setting]


def decode_firmware(reply: str) -> tuple[int, int]:
    """Return major and minor version."""
    match = _FIRMWARE.fullmatch(reply)
    if match is None:
        raise ProtocolError(f"{reply!r} is no firmware of a CC1", reply.encode())
    return int(match[1]), int(match[2])


def _is_firmware(line: bytes) -> bool:
    return line.strip().lower().startswith(b"firmware")


def _switch(header: str) -> _Knob:
    def encode(key: str, value: Setting) -> str:
        if value not in (False, True):
            raise RangeError(f"{key} is true or false, not {value!r}")
        return f":{header}:{'ON' if value else 'OFF'}"

    def decode(reply: str) -> bool:
        if reply.upper() not in {"ON", "OFF"}:
            raise ProtocolError(f"{header} is reported as {reply!r}", reply.encode())
        return reply.upper() == "ON"

    return _Knob(f"{header}?", encode, decode)


def _amount(header: str, low: float, high: float, step: int | None = None) -> _Knob:
    def encode(key: str, value: Setting) -> str:
        try:
            wanted = float(value)
        except ValueError as error:
            raise RangeError(f"{key} must be a number, not {value!r}") from error
        if not low <= wanted <= high:
            raise RangeError(f"{key} is {low:g} to {high:g}, not {value!r}")
        if step is not None and wanted % step:
            raise RangeError(f"{key} comes in steps of {step}, not as {value!r}")
        return f":{header} {wanted:g}"

    def decode(reply: str) -> Setting:
        held = number(reply.partition(" ")[0])
        return held if step is None else round(held)

    return _Knob(f"{header}?", encode, decode)


def _encode_mode(key: str, value: Setting) -> str:
    if value not in _MODES:
        raise RangeError(f"{key} is one of {', '.join(_MODES)}, not {value!r}")
    return f":TRIG:MODE {_MODES[str(value)]}"


def _decode_mode(reply: str) -> str:
    for mode, word in _MODES.items():
        if reply.upper().split() == ["MODE", word]:
            return mode
    raise ProtocolError(f"TRIG is reported as {reply!r}", reply.encode())


_KNOBS = {
    "gate_on": _switch("GATE"),
    "subtract_accidentals": _switch("SUBT"),
    "trigger_mode": _Knob("TRIG?", _encode_mode, _decode_mode),
    "window_ns": _amount("WIND", 0.0, 7.0, step=1),
    "delay_ns": _amount("DELA", 0.0, 14.0, step=2),
    "dwell_s": _amount("DWEL", *DWELL_RANGE_S),
}
