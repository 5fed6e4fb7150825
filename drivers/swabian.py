"""Swabian Instruments Time Tagger 20, Ultra and X, through the maker's package.

Source: the maker's documentation of the TimeTagger package.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import TypeVar

from drivers.knobs import Setting, number_within
from drivers.operation import Operation, all_or_none, sit_out
from drivers.package_calls import PackageCalls
from drivers.swabian_inputs import THRESHOLD_RANGE_V, Inputs
from drivers.swabian_package import Package, Tagger, TagSource, end, makers_package
from drivers.swabian_stream import SwabianStream
from qnx_hw.errors import (
    Busy,
    ConfigError,
    InstrumentError,
    NotConnected,
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
from qnx_hw.transports import Recorder, option

SCHEME = "swabian://"
# The package loads the tagger's firmware where that is new to it.
CONNECT_TIMEOUT_S = 20.0
CALL_TIMEOUT_S = 2.0
# A buffer of the package holds so many tags; an Ultra fills it in a quarter of a second.
BUFFER_TAGS = 20_000_000
MOST_INPUTS = 20
ResultT = TypeVar("ResultT")


@dataclass(frozen=True, slots=True)
class _Opened:
    """A tagger that is open, the package that opened it, and the thread that asks it."""

    package: Package
    tagger: Tagger
    calls: PackageCalls


class Swabian(TimeTagger):
    """A tagger at `swabian://SERIAL`, any at `swabian://`, a shared one at `swabian://host:41101`.

    `?channels=8` says how many inputs there are. `package` stands in for the maker's module.
    """

    def __init__(
        self,
        url: str,
        *,
        name: str = "swabian",
        recorder: Recorder | None = None,
        package: Package | None = None,
    ) -> None:
        if not url.startswith(SCHEME):
            raise ConfigError(f"'{url}' is no address of a Swabian tagger: write {SCHEME}SERIAL")
        channels = option(url, "channels", "8")
        if not channels.isdecimal() or not 1 <= int(channels) <= MOST_INPUTS:
            raise ConfigError(f"'{url}': channels is a number of 1 to {MOST_INPUTS}")
        self.name = name
        self._place = url.removeprefix(SCHEME).partition("?")[0].strip("/")
        self._n_channels = int(channels)
        self._package = package
        self._opened: _Opened | None = None
        self._inputs = Inputs(name, self._n_channels)
        self._operation = Operation(name)
        self._stopped = threading.Event()
        self._stream: SwabianStream | None = None
        self._lost_tags = 0
        self._error = ""

    @property
    def capabilities(self) -> TaggerCapabilities:
        """Inputs with levels, delays and dead times of their own."""
        return TaggerCapabilities(
            n_channels=self._n_channels,
            resolution_ps=1,
            jitter_ps=34,  # data sheet of the 20, rms; Ultra and X are better
            max_rate_cps=8.5e6,  # of the 20 over USB 2
            per_channel_threshold=True,
            has_delay=True,
            has_dead_time=True,
            has_external_clock=False,
            threshold_range_v=THRESHOLD_RANGE_V,
        )

    def connect(self, *, timeout_s: float = CONNECT_TIMEOUT_S) -> Identity:
        """Open the tagger by the maker's package, or that of a server."""
        with self._operation.within(timeout_s):
            self.close()
            package = self._package or makers_package()
            calls = PackageCalls(self.name, self._watch)

            def create() -> _Opened:
                if ":" in self._place:
                    tagger = package.createTimeTaggerNetwork(self._place)
                else:
                    tagger = package.createTimeTagger(self._place)
                return _Opened(package, tagger, calls)

            try:
                self._opened = calls.call(create, timeout_s)
                self._error = ""
                return self._ask(
                    lambda tagger: Identity(
                        "Swabian Instruments", tagger.getModel(), tagger.getSerial()
                    ),
                    timeout_s,
                )
            except (InstrumentError, RuntimeError) as error:
                self.close()
                calls.end()
                if isinstance(error, InstrumentError):
                    raise
                raise NotConnected(f"'{self.name}' cannot be opened: {error}") from error

    def close(self) -> None:
        """Stop what runs and give the tagger back."""
        self._stopped.set()
        with self._operation.within():
            self._end_stream()
            opened, self._opened = self._opened, None
            if opened is None:
                return
            try:
                opened.calls.call(
                    lambda: opened.package.freeTimeTagger(opened.tagger), CALL_TIMEOUT_S
                )
            except (InstrumentError, RuntimeError):
                return  # it is gone, or hangs; nothing more can be done from here
            finally:
                opened.calls.end()

    def status(self) -> InstrumentStatus:
        """Return how the tagger is, without asking it."""
        stream = self._stream
        if self._opened is None or self._error:
            return InstrumentStatus(InstrumentState.DISCONNECTED, self._error)
        state = InstrumentState.READY if stream is None else InstrumentState.STREAMING
        lost = self._lost_tags + (stream.lost_tags if stream else 0)
        return InstrumentStatus(state, counters={"lost_tags": lost})

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read of each input N `threshold_N_v`, `edge_N`, `delay_N_ps`, `dead_time_N_ps`, ..."""
        with self._operation.within(timeout_s):
            return self._ask(self._inputs.read, timeout_s)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; what is refused sets the others back."""
        with self._idle(timeout_s):
            before = self.settings()
            for key, value in settings.items():
                self._inputs.check(key, value, before)
            with all_or_none(lambda: self._apply(before)):
                self._apply(settings)
            return self.settings()

    def stop(self) -> None:
        """End a count or a stream now."""
        self._open()
        self._stopped.set()
        stream = self._stream
        if stream is not None:
            stream.fail(NotConnected(f"the stream of '{self.name}' was stopped"))

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set level and edge of one input and return the level it holds."""
        held = self.configure(
            {f"edge_{channel}": edge.value, f"threshold_{channel}_v": threshold_v},
            timeout_s=timeout_s,
        )
        return float(held[f"threshold_{channel}_v"])

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Keep to the internal clock; another is set up in the maker's own program."""
        if reference is not Reference.INTERNAL:
            raise Unsupported(f"'{self.name}' is used with its internal clock")
        return reference

    def count_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Count every input for `integration_s`, by the package's own counter."""
        number_within(self.name, "integration_s", integration_s, 0.001, 3600.0)
        with self._idle(timeout_s):
            self._stopped.clear()
            package = self._open().package
            counter = self._ask(lambda tagger: package.Countrate(tagger, self._inputs.wires()))
            try:
                sit_out(f"a count of '{self.name}'", integration_s, self._stopped, cancel)
                return self._ask(lambda _: tuple(float(rate) for rate in counter.getData()))
            finally:
                self._ask(lambda _: end(counter))

    def start_stream(self, *, block_s: float = 0.1, timeout_s: float | None = None) -> TagStream:
        """Start streaming all inputs, each at its edge."""
        if not 0.001 <= block_s <= 60.0:
            raise RangeError(f"blocks of '{self.name}' last 0.001 to 60 s, not {block_s} s")
        with self._idle(timeout_s):
            opened = self._open()

            def begin(tagger: Tagger) -> TagSource:
                tagger.getOverflowsAndClear()
                return opened.package.TimeTagStream(tagger, BUFFER_TAGS, self._inputs.wires())

            self._stream = SwabianStream(
                self.name,
                self._ask(begin),
                opened.tagger,
                round(block_s * 1e12),
                finish=self._finish,
            )
            return self._stream

    def _finish(self, stream: SwabianStream) -> None:
        with self._operation.within():
            if self._stream is stream:
                self._end_stream()

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end()
            self._lost_tags += stream.lost_tags

    def _apply(self, settings: Mapping[str, Setting]) -> None:
        for step in self._inputs.steps(settings):
            self._ask(step)

    def _ask(
        self, function: Callable[[Tagger], ResultT], timeout_s: float | None = None
    ) -> ResultT:
        """Ask the open tagger; what the package raises means that it is lost."""
        opened = self._open()
        try:
            return opened.calls.call(lambda: function(opened.tagger), timeout_s or CALL_TIMEOUT_S)
        except RuntimeError as error:
            if isinstance(error, InstrumentError):
                raise
            self._error = str(error)
            raise NotConnected(f"'{self.name}' was lost: {error}") from error

    def _watch(self) -> None:
        """Look whether the tagger is still there; on the thread of the calls."""
        opened = self._opened
        if opened is None or self._error:
            return
        try:
            opened.tagger.getTriggerLevel(1)
        except RuntimeError as error:
            self._error = str(error)

    def _open(self) -> _Opened:
        opened = self._opened
        if opened is None:
            raise NotConnected(f"'{self.name}' is not connected")
        return opened

    def _idle(self, timeout_s: float | None = None) -> AbstractContextManager[None]:
        """Return the turn of an operation; a running stream forbids them."""
        self._open()
        if self._stream is not None:
            raise Busy(f"'{self.name}' streams; close the stream first")
        return self._operation.within(timeout_s)
