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
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from functools import partial

from drivers import id900_replies as replies
from drivers import id900_settings as settings_of
from drivers.id900_counts import MOST_BINS, Counts, Histogram
from drivers.id900_line import REPLY_TIMEOUT_S, Id900Line
from drivers.id900_saving import SavedInput, Saving, filename_of
from drivers.id900_service import DataLinkService
from drivers.id900_settings import CHANNELS, THRESHOLD_RANGE_V
from drivers.id900_stream import Id900Stream, Inboxes
from drivers.knobs import Setting, number_within
from drivers.operation import SET_BACK_S, Operation, all_or_none, sit_out
from qnx_hw.errors import (
    Busy,
    ConfigError,
    InstrumentError,
    InstrumentRefused,
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
from qnx_hw.transports import Priority, Recorder, address, option, overtime

DATA_LINK = "127.0.0.1:6060"
SHORTEST_ACQUISITION_S = 0.2
LONGEST_SAVING_S = 86_400.0
PS_PER_S = 10**12
STOP_RECORDING = "REC:STOP"
_EDGES = {Edge.RISING: "RISING", Edge.FALLING: "FALLING"}
_REFERENCES = {Reference.INTERNAL: "INTERNAL", Reference.EXTERNAL: "EXTERNAL"}


class Id900(TimeTagger):
    """A controller at `zmq://host:5555?dlt=127.0.0.1:6060`; `&stream_port=7001` fixes the ports.

    The service streams input N on `stream_port` + N - 1; without it, free ports of this computer.
    Where a tunnel leads to them from elsewhere, `&stream_at=host:9001-9004` says from where.
    """

    def __init__(self, url: str, *, name: str = "id900", recorder: Recorder | None = None) -> None:
        self.name = name
        self._host = address(url)[0]
        self._line = Id900Line(url, name, recorder=recorder)
        self._counts = Counts(self._line, self._pause)
        self._service = DataLinkService(
            url,
            option(url, "dlt", DATA_LINK),
            name,
            first_port=_port(url),
            tunnel=_tunnel(url),
            recorder=recorder,
        )
        self._saving = Saving(self._line, self._service, self._pause)
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
            with self._line.opening(timeout_s):
                identity = replies.identity(self._line.ask("*IDN?"))
                self._look_for_slots()
            self._fault = ""
            return identity

    def close(self) -> None:
        """Stop recording and let go of controller and service."""
        self._stopped.set()
        with self._operation.within():
            self._end_stream()
            self._line.close(STOP_RECORDING)

    def status(self) -> InstrumentStatus:
        """Return how the controller is, without asking it."""
        stream = self._stream
        state = InstrumentState.READY if stream is None else InstrumentState.STREAMING
        lost = self._lost_tags + (stream.lost_tags if stream else 0)
        return self._line.status(state, self._fault, {"lost_tags": lost})

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `reference`, `resolution` and of each input N `enabled_N`, `threshold_N_v`, ..."""
        with self._operation.within(timeout_s):
            return settings_of.read(self._line)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; what is refused sets the others back."""
        commands = [
            command
            for key, value in settings.items()
            for command in settings_of.commands(self.name, key, value)
        ]
        with self._idle(timeout_s):
            undone: list[str] = []
            with all_or_none(lambda: [self._line.ask(command) for command in undone]):
                for header, argument in commands:
                    undone.insert(0, f"{header} {self._line.ask(f'{header}?')}")
                    self._line.put(header, argument)
            self._look_for_slots()
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Stop a count or the recording now."""
        self._line.check()
        self._stopped.set()
        self._line.ask(STOP_RECORDING, priority=Priority.STOP)
        self._service.cut()

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set level and edge of one input and return the level it holds."""
        self._check_channel(channel)
        number_within(self.name, f"threshold_{channel}_v", threshold_v, *THRESHOLD_RANGE_V)
        with self._idle(timeout_s):
            self._line.put(f"INPU{channel}:EDGE", _EDGES[edge])
            return self._line.put_threshold(channel, threshold_v)

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Choose the clock; the controller cannot choose by itself."""
        if reference not in _REFERENCES:
            raise Unsupported(f"'{self.name}' takes the internal or the external clock")
        with self._idle(timeout_s):
            self._line.put("DEVI:SYNC", _REFERENCES[reference])
        return reference

    def count_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Count for 1 ms to 65.535 s; takes two to three times as long."""
        self._counts.checked_ms(integration_s)
        with self._idle(timeout_s):
            self._stopped.clear()
            return self._counts.rates(integration_s, cancel)

    def coincidence_rates(
        self,
        pairs: Sequence[tuple[int, int]],
        integration_s: float,
        *,
        window_ps: tuple[int, int] | None = None,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Count clicks of pairs' first inputs that one of the second follows within `window_ps`.

        That is from when to when after the first, and may begin before it; without, the windows
        count that the controller holds. Uses its combiners from the first on; takes as long as
        `count_rates`.
        """
        with self._idle(timeout_s):
            self._stopped.clear()
            return self._counts.coincidences(pairs, integration_s, window_ps, cancel)

    def histogram(
        self,
        inputs: tuple[int, int],
        integration_s: float,
        *,
        bin_ps: int = 100,
        n_bins: int = MOST_BINS,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> Histogram:
        """Return how often each time passed from a click of one input to one of another."""
        with self._idle(timeout_s):
            self._stopped.clear()
            number_within(self.name, "bin_ps", bin_ps, self._resolution_ps, PS_PER_S)
            return self._counts.histogram(inputs, 0, bin_ps, n_bins, (integration_s, cancel))

    def recalibrate(self, *, timeout_s: float = 30.0) -> None:
        """Recalibrate the sampling, as after warm-up; nothing may be recording."""
        with self._idle(timeout_s):
            self._line.ask("DEVI:SAMP:RECA", timeout_s)
            self._line.ask("INPU1:HIRE:CLEA", timeout_s)
            self._look_for_faults()

    def start_stream(self, *, block_s: float = 0.1, timeout_s: float | None = None) -> TagStream:
        """Record the enabled inputs; a block is an acquisition, of `block_s` but 0.2 s at least."""
        if not 0.001 <= block_s <= 60.0:
            raise RangeError(f"blocks of '{self.name}' last 0.001 to 60 s, not {block_s} s")
        acquisition_ps = round(max(block_s, SHORTEST_ACQUISITION_S) * PS_PER_S)
        with self._idle(timeout_s):
            self._look_for_faults()
            inputs = self._inputs_to_record()
            self._prepare(inputs, acquisition_ps, "INF")
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
                    self._line.put(f"RAW{n}:SEND", "ON")
                self._line.ask("REC:PLAY")
            except InstrumentError:
                with overtime(SET_BACK_S):
                    self._end_stream()
                raise
            return self._stream

    def save(
        self,
        filename: str,
        duration_s: float,
        *,
        file_format: str = "",
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[SavedInput, ...]:
        """Record the enabled inputs once, into files on the computer of the data link service.

        Input N goes to `filename` with -N before its suffix, in the format that the service calls
        `file_format`, or its usual one.
        """
        number_within(self.name, "duration_s", duration_s, SHORTEST_ACQUISITION_S, LONGEST_SAVING_S)
        with self._idle(timeout_s):
            self._stopped.clear()
            inputs = self._inputs_to_record()
            self._prepare(inputs, round(duration_s * PS_PER_S), "1")
            filenames = {n: filename_of(filename, n) for n in inputs}
            return self._saving.save(self._host, filenames, file_format, duration_s, cancel)

    def _inputs_to_record(self) -> list[int]:
        inputs = [n for n in CHANNELS if self._line.is_enabled(n)]
        if not inputs:
            raise InstrumentRefused(f"'{self.name}' has no enabled input to record")
        return inputs

    def _prepare(self, inputs: list[int], acquisition_ps: int, number: str) -> None:
        self._line.put("REC:TRIG:ARM:MODE", "MANUAL")
        self._line.put("REC:ENAB", "ON")
        self._line.ask(STOP_RECORDING)
        self._line.put("REC:NUM", number)
        self._line.put("REC:DUR", f"{acquisition_ps}TB")
        for n in CHANNELS:
            self._line.put(f"RAW{n}:SEND", "OFF")
            self._line.ask(f"RAW{n}:ERRORS:CLEAR")
        for n in inputs:
            source = f"DELA{n}" if self._line.delay_ps(n) else f"INPU{n}"
            self._line.put(f"RAW{n}:STOP:LINK", source)

    def _overflowed(self, inputs: list[int]) -> bool:
        """Whether a buffer ran over since the last look; those go on with empty ones."""
        has_any = False
        for n in inputs:
            if not self._line.number(f"RAW{n}:ERRORS?"):
                continue
            has_any = True
            for command in (f"RAW{n}:SEND OFF", f"RAW{n}:ERRORS:CLEAR", f"RAW{n}:SEND ON"):
                self._line.ask(command)
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
            self._line.ask(STOP_RECORDING)
            for n in CHANNELS:
                self._line.ask(f"RAW{n}:SEND OFF")
        except InstrumentError:
            return  # it is gone, and with it all that recorded
        finally:
            self._service.stop()

    def _look_for_slots(self) -> None:
        """Note how fine the slots are, which the resolution decides."""
        self._resolution_ps = max(round(self._line.number("DEVI:RES:BWID?", "TB")), 1)

    def _look_for_faults(self) -> None:
        """Note what the high-resolution sampling complains of."""
        codes = {n: self._line.ask(f"INPU{n}:HIRE:ERROR?") for n in CHANNELS}
        faults = [f"input {n}: {_hires_fault(code)}" for n, code in codes.items() if code != "0"]
        self._fault = ", ".join(faults)

    def _pause(self, span_s: float, cancel: threading.Event | None) -> None:
        sit_out(f"the count of '{self.name}'", span_s, self._stopped, cancel)

    def _idle(self, timeout_s: float | None = None) -> AbstractContextManager[None]:
        """Return the turn of an operation; a running stream forbids them."""
        self._line.check()
        if self._stream is not None:
            raise Busy(f"'{self.name}' streams; close the stream first")
        return self._operation.within(timeout_s)

    def _check_channel(self, channel: int) -> None:
        if channel not in CHANNELS:
            raise RangeError(f"'{self.name}' has inputs 1 to 4, not {channel}")


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
