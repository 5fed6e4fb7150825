"""ID Quantique ID900 and ID1000 time controllers: four inputs on ZeroMQ.

Source: ID Quantique, "ID900 Time Controller User Guide" and the maker's example scripts. Requests
go to the controller (SCPI, tcp port 5555) and get one reply each, settings too. Time stamps come
from the maker's DataLinkTargetService, which fetches them from the controller and streams each
input on a port of its own; it must run, usually on this computer (tcp port 6060). The controller
records one acquisition after the other, 40 ns apart at least, which the blocks do not show: a
clock synchronisation sees it as drift.
"""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial

from drivers import id900_replies as replies
from drivers.held_link import HeldLink
from drivers.id900_service import DataLinkService
from drivers.id900_stream import Id900Stream, Inboxes
from drivers.knobs import Setting, number_within
from drivers.operation import Operation, setting_back
from qnx_hw.errors import (
    Busy,
    Cancelled,
    ConfigError,
    InstrumentError,
    InstrumentRefused,
    ProtocolError,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import TagStream, TimeTagger
from qnx_hw.instruments.values import (
    Edge,
    Identity,
    InstrumentState,
    InstrumentStatus,
    Reference,
    TaggerCapabilities,
)
from qnx_hw.transports import (
    Fence,
    LinkTraits,
    Messages,
    Priority,
    Recorder,
    address,
    message,
    option,
)

CHANNELS = (1, 2, 3, 4)
DATA_LINK = "127.0.0.1:6060"
REPLY_TIMEOUT_S = 3.0
THRESHOLD_RANGE_V = (-2.0, 2.0)
# The level is made in steps of 0.488 mV.
THRESHOLD_STEP_V = 0.000489
THRESHOLD_TOLERANCE_V = 0.001
LONGEST_DELAY_PS = 10**12
COUNT_RANGE_S = (0.001, 65.535)
# A counter shows its last full cycle; the one that ran when the time was set is not of that time.
CYCLES_WAITED = 2
COUNT_MARGIN_S = 0.1
SHORTEST_ACQUISITION_S = 0.2
PS_PER_S = 10**12
STOP_RECORDING = "REC:STOP"
_ON_OFF = {True: "ON", False: "OFF"}
_EDGES = {Edge.RISING: "RISING", Edge.FALLING: "FALLING"}
_REFERENCES = {Reference.INTERNAL: "INTERNAL", Reference.EXTERNAL: "EXTERNAL"}
_WORDS = {
    "coupling": ("COUP", ("DC", "AC")),
    "edge": ("EDGE", ("RISING", "FALLING")),
}
TRAITS = LinkTraits(
    fence=Fence(message(b"*IDN?"), lambda reply: reply.count(b",") == 3 and b"ID" in reply)
)


class Id900(TimeTagger):
    """A controller at `zmq://host:5555?dlt=127.0.0.1:6060`; `&stream_port=7001` fixes the ports.

    The service streams input N on `stream_port` + N - 1; without it, free ports of this computer.
    Where a tunnel leads to them from elsewhere, `&stream_at=host:9001-9004` says from where.
    """

    def __init__(self, url: str, *, name: str = "id900", recorder: Recorder | None = None) -> None:
        self.name = name
        self._host = address(url)[0]
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS)
        self._service = DataLinkService(
            option(url, "dlt", DATA_LINK),
            name,
            first_port=_port(url),
            tunnel=_tunnel(url),
            recorder=recorder,
        )
        self._operation = Operation(name)
        self._stopped = threading.Event()
        self._stream: Id900Stream | None = None
        self._resolution_ps = 13
        self._lost_tags = 0
        self._fault = ""

    @property
    def capabilities(self) -> TaggerCapabilities:
        """Four inputs with levels and delays of their own."""
        return TaggerCapabilities(
            n_channels=len(CHANNELS),
            resolution_ps=self._resolution_ps,
            jitter_ps=20,
            max_rate_cps=10e6,  # in sum; above it the buffers run over (guide, RAW)
            per_channel_threshold=True,
            has_delay=True,
            has_dead_time=False,
            has_external_clock=True,
            threshold_range_v=THRESHOLD_RANGE_V,
        )

    def connect(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> Identity:
        """Ask who is there and how fine its slots are; nothing is switched."""
        with self._operation.within(timeout_s):
            self.close()
            with self._held.opening(Messages(), timeout_s=timeout_s):
                identity = replies.identity(self._ask("*IDN?", timeout_s))
                width = self._ask("DEVI:RES:BWID?", timeout_s)
                self._resolution_ps = max(round(replies.quantity(width, "TB")), 1)
            self._fault = ""
            return identity

    def close(self) -> None:
        """Stop recording and let go of controller and service."""
        self._stopped.set()
        with self._operation.within():
            self._end_stream()
            self._held.close(message(STOP_RECORDING.encode()))

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        stream = self._stream
        state = InstrumentState.READY if stream is None else InstrumentState.STREAMING
        lost = self._lost_tags + (stream.lost_tags if stream else 0)
        return self._held.status(state, self._fault, {"lost_tags": lost})

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `reference`, `resolution` and of each input N `enabled_N`, `threshold_N_v`, ..."""
        with self._operation.within(timeout_s):
            held: dict[str, Setting] = {
                "reference": self._word("DEVI:SYNC", ("INTERNAL", "EXTERNAL"), timeout_s),
                "resolution": self._word("DEVI:RES", ("HIRES", "LOWRES"), timeout_s),
            }
            for n in CHANNELS:
                held[f"enabled_{n}"] = self._is_enabled(n, timeout_s)
                level = self._ask(f"INPU{n}:THRE?", timeout_s)
                held[f"threshold_{n}_v"] = replies.quantity(level, "V")
                for key, (node, choices) in _WORDS.items():
                    held[f"{key}_{n}"] = self._word(f"INPU{n}:{node}", choices, timeout_s)
                held[f"delay_{n}_ps"] = self._delay_ps(n, timeout_s)
            return held

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; what is refused sets the others back."""
        commands = [command for key in settings for command in self._commands(key, settings[key])]
        with self._idle(timeout_s):
            undone: list[str] = []
            try:
                for header, argument in commands:
                    held = self._ask(f"{header}?", timeout_s)
                    undone.insert(0, f"{header} {held}")
                    self._set(header, argument, timeout_s)
            except InstrumentError:
                with setting_back():
                    for command in undone:
                        self._ask(command, None)
                raise
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Stop a count or the recording now."""
        self._held.link()
        self._stopped.set()
        self._ask(STOP_RECORDING, None, priority=Priority.STOP)
        self._service.cut()

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set level and edge of one input and return the level it holds."""
        self._check_channel(channel)
        low_v, high_v = THRESHOLD_RANGE_V
        number_within(self.name, f"threshold_{channel}_v", threshold_v, low_v, high_v)
        with self._idle(timeout_s):
            self._set(f"INPU{channel}:EDGE", _EDGES[edge], timeout_s)
            return self._set_threshold(channel, threshold_v, timeout_s)

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Choose the clock; the controller cannot choose by itself."""
        if reference not in _REFERENCES:
            raise Unsupported(f"'{self.name}' takes the internal or the external clock")
        with self._idle(timeout_s):
            self._set("DEVI:SYNC", _REFERENCES[reference], timeout_s)
        return reference

    def count_rates(
        self, integration_s: float, *, cancel: threading.Event | None = None
    ) -> tuple[float, ...]:
        """Count for 1 ms to 65.535 s; takes two to three times as long."""
        low_s, high_s = COUNT_RANGE_S
        number_within(self.name, "integration_s", integration_s, low_s, high_s)
        time_ms = round(integration_s * 1000)
        with self._idle():
            self._stopped.clear()
            for n in CHANNELS:
                self._set(f"INPU{n}:COUN:MODE", "CYCLE", None)
                self._set(f"INPU{n}:COUN:INTE", str(time_ms), None)
            self._pause(CYCLES_WAITED * integration_s + COUNT_MARGIN_S, cancel)
            counts = [replies.quantity(self._ask(f"INPU{n}:COUN?", None)) for n in CHANNELS]
        return tuple(count * 1000 / time_ms for count in counts)

    def recalibrate(self, *, timeout_s: float = 30.0) -> None:
        """Recalibrate the sampling, as after warm-up; nothing may be recording."""
        with self._idle(timeout_s):
            self._ask("DEVI:SAMP:RECA", timeout_s)
            self._ask("INPU1:HIRE:CLEA", timeout_s)
            self._look_for_faults()

    def start_stream(self, *, block_s: float = 0.1) -> TagStream:
        """Record the enabled inputs; a block is an acquisition, of `block_s` but 0.2 s at least."""
        if not 0.001 <= block_s <= 60.0:
            raise RangeError(f"blocks of '{self.name}' last 0.001 to 60 s, not {block_s} s")
        acquisition_ps = round(max(block_s, SHORTEST_ACQUISITION_S) * PS_PER_S)
        with self._idle():
            self._look_for_faults()
            inputs = [n for n in CHANNELS if self._is_enabled(n, None)]
            if not inputs:
                raise InstrumentRefused(f"'{self.name}' has no enabled input to record")
            self._prepare(inputs, acquisition_ps)
            inboxes = Inboxes(inputs)
            self._service.start(self._host, {n: partial(inboxes.put, n) for n in inputs})
            self._stream = Id900Stream(
                self.name,
                acquisition_ps,
                inboxes=inboxes,
                look=self._service.status,
                overflowed=lambda: self._overflowed(inputs),
                finish=self._finish,
            )
            try:
                for n in inputs:
                    self._set(f"RAW{n}:SEND", "ON", None)
                self._ask("REC:PLAY", None)
            except InstrumentError:
                self._end_stream()
                raise
            return self._stream

    def _prepare(self, inputs: list[int], acquisition_ps: int) -> None:
        self._set("REC:TRIG:ARM:MODE", "MANUAL", None)
        self._set("REC:ENAB", "ON", None)
        self._ask(STOP_RECORDING, None)
        self._set("REC:NUM", "INF", None)
        self._set("REC:DUR", f"{acquisition_ps}TB", None)
        for n in CHANNELS:
            self._set(f"RAW{n}:SEND", "OFF", None)
            self._ask(f"RAW{n}:ERRORS:CLEAR", None)
        for n in inputs:
            source = f"DELA{n}" if self._delay_ps(n, None) else f"INPU{n}"
            self._set(f"RAW{n}:STOP:LINK", source, None)

    def _overflowed(self, inputs: list[int]) -> bool:
        """Whether a buffer ran over since the last look; those go on with empty ones."""
        has_any = False
        for n in inputs:
            if not replies.quantity(self._ask(f"RAW{n}:ERRORS?", None)):
                continue
            has_any = True
            for command in (f"RAW{n}:SEND OFF", f"RAW{n}:ERRORS:CLEAR", f"RAW{n}:SEND ON"):
                self._ask(command, None)
        return has_any

    def _finish(self, stream: Id900Stream) -> None:
        with self._operation.within():
            if self._stream is stream:
                self._end_stream()

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is None:
            return
        self._lost_tags += stream.lost_tags
        try:
            self._ask(STOP_RECORDING, None)
            for n in CHANNELS:
                self._ask(f"RAW{n}:SEND OFF", None)
        except InstrumentError:
            return  # it is gone, and with it all that recorded
        finally:
            self._service.stop()

    def _commands(self, key: str, value: Setting) -> list[tuple[str, str]]:
        """Return headers and arguments of one setting, or refuse it."""
        if key == "reference":
            return [("DEVI:SYNC", _word(key, value, ("INTERNAL", "EXTERNAL")))]
        if key == "resolution":
            return [("DEVI:RES", _word(key, value, ("HIRES", "LOWRES")))]
        words = key.split("_")
        n = int(words[1]) if len(words) > 1 and words[1].isdecimal() else 0
        if n not in CHANNELS:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        what = key.replace(f"_{n}", "", 1)
        if what == "enabled" and isinstance(value, bool):
            return [(f"INPU{n}:ENAB", _ON_OFF[value])]
        if what in _WORDS:
            node, choices = _WORDS[what]
            return [(f"INPU{n}:{node}", _word(key, value, choices))]
        if what == "threshold_v":
            return [
                (f"INPU{n}:THRE", f"{number_within(self.name, key, value, *THRESHOLD_RANGE_V):g}V")
            ]
        if what == "delay_ps":
            delay_ps = round(number_within(self.name, key, value, 0, LONGEST_DELAY_PS))
            return [(f"DELA{n}:LINK", f"INPU{n}"), (f"DELA{n}:VALU", f"{delay_ps}TB")]
        if what == "enabled":
            raise RangeError(f"{key} is true or false, not {value!r}")
        raise Unsupported(f"'{self.name}' has no setting {key}")

    def _set(self, header: str, argument: str, timeout_s: float | None) -> None:
        """Set one value and check the echo: what the controller took."""
        if header.endswith(":THRE"):
            self._set_threshold(int(header[4]), replies.quantity(argument, "V"), timeout_s)
            return
        held = self._ask(f"{header} {argument}", timeout_s)
        if held.upper() != argument.upper():
            raise InstrumentRefused(f"'{self.name}' holds {header} {held}, not {argument}")

    def _set_threshold(self, channel: int, threshold_v: float, timeout_s: float | None) -> float:
        header = f"INPU{channel}:THRE"
        held_v = replies.quantity(self._ask(f"{header}?", timeout_s), "V")
        if abs(held_v - threshold_v) <= THRESHOLD_STEP_V:
            return held_v  # setting what is held would go one step down
        held_v = replies.quantity(self._ask(f"{header} {threshold_v:g}V", timeout_s), "V")
        if abs(held_v - threshold_v) > THRESHOLD_TOLERANCE_V:
            raise InstrumentRefused(
                f"'{self.name}' holds a threshold of {held_v:g} V, not {threshold_v:g} V"
            )
        return held_v

    def _is_enabled(self, channel: int, timeout_s: float | None) -> bool:
        return self._word(f"INPU{channel}:ENAB", ("ON", "OFF"), timeout_s) == "on"

    def _word(self, header: str, choices: tuple[str, ...], timeout_s: float | None) -> str:
        """Read a setting that is one of a few words."""
        reply = self._ask(f"{header}?", timeout_s)
        if reply.upper() not in choices:
            raise ProtocolError(f"'{self.name}' reports {header} as {reply!r}", reply.encode())
        return reply.lower()

    def _delay_ps(self, channel: int, timeout_s: float | None) -> int:
        if self._ask(f"DELA{channel}:LINK?", timeout_s).upper() != f"INPU{channel}":
            return 0
        return round(replies.quantity(self._ask(f"DELA{channel}:VALU?", timeout_s), "TB"))

    def _look_for_faults(self) -> None:
        """Note what the high-resolution sampling complains of."""
        codes = {n: self._ask(f"INPU{n}:HIRE:ERROR?", None) for n in CHANNELS}
        faults = [f"input {n}: {_hires_fault(code)}" for n, code in codes.items() if code != "0"]
        self._fault = ", ".join(faults)

    def _pause(self, duration_s: float, cancel: threading.Event | None) -> None:
        """Wait while the controller counts."""
        clock = threading.Event() if cancel is None else cancel
        waited_s, step_s = 0.0, min(duration_s, 0.05)
        while waited_s < duration_s:
            if clock.is_set() or self._stopped.wait(step_s):
                raise Cancelled(f"the count of '{self.name}' was cancelled")
            waited_s += step_s

    def _ask(
        self, command: str, timeout_s: float | None, *, priority: Priority = Priority.COMMAND
    ) -> str:
        reply = self._held.link().query(
            message(command.encode()),
            lambda _: True,
            timeout_s=timeout_s or REPLY_TIMEOUT_S,
            priority=priority,
        )
        return replies.checked(self.name, command, reply)

    def _idle(self, timeout_s: float | None = None) -> AbstractContextManager[None]:
        """Return the turn of an operation; a running stream forbids them."""
        self._held.link()
        if self._stream is not None:
            raise Busy(f"'{self.name}' streams; close the stream first")
        return self._operation.within(timeout_s)

    def _check_channel(self, channel: int) -> None:
        if channel not in CHANNELS:
            raise RangeError(f"'{self.name}' has inputs 1 to 4, not {channel}")


def _word(key: str, value: Setting, choices: tuple[str, ...]) -> str:
    word = str(value).upper()
    if word not in choices:
        raise RangeError(f"{key} is one of {', '.join(choices).lower()}, not {value!r}")
    return word


def _hires_fault(code: str) -> str:
    return "recalibrate" if code == "1" else f"rate or threshold (code {code})"


def _port(url: str) -> int:
    port = option(url, "stream_port", "0")
    if not port.isdecimal() or int(port) > 65_532:
        raise ConfigError(f"'{url}': stream_port is the first of four TCP ports")
    return int(port)


def _tunnel(url: str) -> tuple[str, int] | None:
    """Return host and first port of the streams' other ends, where there are such."""
    place = option(url, "stream_at", "")
    if not place:
        return None
    named = re.fullmatch(r"([\w.-]+):(\d+)-(\d+)", place)
    if named is None or int(named[3]) - int(named[2]) != len(CHANNELS) - 1:
        raise ConfigError(f"'{url}': stream_at is a host and four ports, such as host:9001-9004")
    return named[1], int(named[2])
