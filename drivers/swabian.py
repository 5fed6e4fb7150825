"""Swabian Instruments Time Tagger 20, Ultra and X, through the maker's package.

Source: the maker's documentation of the TimeTagger package. The package keeps the tags that nobody
fetches in a buffer of limited size, so a thread of the stream fetches them all the time.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager

from drivers.knobs import Setting, number_within
from drivers.operation import Operation
from drivers.swabian_blocks import Blocks
from drivers.swabian_package import Package, Tagger, TagSource, makers_package
from qnx_hw.errors import (
    Busy,
    Cancelled,
    ConfigError,
    InstrumentError,
    InstrumentRefused,
    InstrumentTimeout,
    NotConnected,
    RangeError,
    Unsupported,
)
from qnx_hw.instruments.families import TagStream, TimeTagger
from qnx_hw.instruments.tags import TagBlock
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
THRESHOLD_RANGE_V = (-2.5, 2.5)
THRESHOLD_TOLERANCE_V = 0.02
LONGEST_DELAY_PS = 10**12
LONGEST_DEAD_TIME_PS = 10**9
# A buffer of the package holds so many tags; an Ultra fills it in a quarter of a second.
BUFFER_TAGS = 20_000_000
# Tags that may wait for a slow reader of ours.
WAITING_TAGS = 50_000_000
FETCH_S = 0.02
# The package answers from its own threads; what takes longer is a tagger that hangs.
END_TIMEOUT_S = 5.0
MOST_INPUTS = 20


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
        self._opened: tuple[Package, Tagger] | None = None
        self._edges = dict.fromkeys(range(1, self._n_channels + 1), Edge.RISING)
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

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Open the tagger by the maker's package; how long that takes is the package's."""
        with self._operation.within(timeout_s):
            self.close()
            package = self._package or makers_package()
            try:
                if ":" in self._place:
                    tagger = package.createTimeTaggerNetwork(self._place)
                else:
                    tagger = package.createTimeTagger(self._place)
                self._opened = package, tagger
                self._error = ""
                return Identity("Swabian Instruments", tagger.getModel(), tagger.getSerial())
            except RuntimeError as error:
                self.close()
                raise NotConnected(f"'{self.name}' cannot be opened: {error}") from error

    def close(self) -> None:
        """Stop what runs and give the tagger back."""
        self._stopped.set()
        with self._operation.within():
            self._end_stream()
            opened, self._opened = self._opened, None
            if opened is not None:
                package, tagger = opened
                package.freeTimeTagger(tagger)

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
        held: dict[str, Setting] = {}
        with self._operation.within(timeout_s), self._tagger() as tagger:
            for n, edge in self._edges.items():
                held[f"threshold_{n}_v"] = tagger.getTriggerLevel(n)
                held[f"edge_{n}"] = edge.value
                held[f"delay_{n}_ps"] = tagger.getInputDelay(self._wire(n))
                held[f"dead_time_{n}_ps"] = tagger.getDeadtime(self._wire(n))
                held[f"test_signal_{n}"] = tagger.getTestSignal(n)
        return held

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings as `settings` names them; what is refused sets the others back."""
        with self._idle(timeout_s):
            before = self.settings()
            for key, value in settings.items():
                self._check(key, value, before)
            try:
                # Edges first: delay and dead time belong to an edge.
                for key in sorted(settings, key=lambda key: not key.startswith("edge")):
                    self._apply(key, settings[key])
            except InstrumentError:
                for key, value in before.items():
                    self._apply(key, value)
                raise
            return self.settings()

    def stop(self) -> None:
        """End a count or a stream now."""
        with self._tagger():
            self._stopped.set()
        stream = self._stream
        if stream is not None:
            stream.fail(NotConnected(f"the stream of '{self.name}' was stopped"))

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set level and edge of one input and return the level it holds."""
        held = self.configure(
            {f"edge_{channel}": edge.value, f"threshold_{channel}_v": threshold_v}
        )
        return float(held[f"threshold_{channel}_v"])

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Keep to the internal clock; another is set up in the maker's own program."""
        if reference is not Reference.INTERNAL:
            raise Unsupported(f"'{self.name}' is used with its internal clock")
        return reference

    def count_rates(
        self, integration_s: float, *, cancel: threading.Event | None = None
    ) -> tuple[float, ...]:
        """Count every input for `integration_s`, by the package's own counter."""
        number_within(self.name, "integration_s", integration_s, 0.001, 3600.0)
        with self._idle(), self._tagger() as tagger:
            self._stopped.clear()
            counter = self._module().Countrate(tagger, [self._wire(n) for n in self._edges])
            try:
                self._pause(integration_s, cancel)
                return tuple(float(rate) for rate in counter.getData())
            finally:
                counter.stop()

    def start_stream(self, *, block_s: float = 0.1) -> TagStream:
        """Start streaming all inputs, each at its edge."""
        if not 0.001 <= block_s <= 60.0:
            raise RangeError(f"blocks of '{self.name}' last 0.001 to 60 s, not {block_s} s")
        with self._idle(), self._tagger() as tagger:
            tagger.getOverflowsAndClear()
            source = self._module().TimeTagStream(
                tagger, BUFFER_TAGS, [self._wire(n) for n in self._edges]
            )
            self._stream = SwabianStream(
                self.name, source, tagger, round(block_s * 1e12), finish=self._finish
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

    def _check(self, key: str, value: Setting, known: Mapping[str, Setting]) -> None:
        if key not in known:
            raise Unsupported(f"'{self.name}' has no setting {key}")
        if key.startswith("threshold"):
            number_within(self.name, key, value, *THRESHOLD_RANGE_V)
        elif key.startswith("delay"):
            number_within(self.name, key, value, -LONGEST_DELAY_PS, LONGEST_DELAY_PS)
        elif key.startswith("dead_time"):
            number_within(self.name, key, value, 0, LONGEST_DEAD_TIME_PS)
        elif key.startswith("edge") and value not in set(Edge):
            raise RangeError(f"{key} is rising or falling, not {value!r}")
        elif key.startswith("test_signal") and not isinstance(value, bool):
            raise RangeError(f"{key} is true or false, not {value!r}")

    def _apply(self, key: str, value: Setting) -> None:
        n = next(int(word) for word in key.split("_") if word.isdecimal())
        with self._tagger() as tagger:
            if key.startswith("edge"):
                self._edges[n] = Edge(str(value))
            elif key.startswith("threshold"):
                tagger.setTriggerLevel(n, float(value))
                held_v = tagger.getTriggerLevel(n)
                if abs(held_v - float(value)) > THRESHOLD_TOLERANCE_V:
                    raise InstrumentRefused(f"'{self.name}' holds {key} = {held_v:g}, not {value}")
            elif key.startswith("delay"):
                tagger.setInputDelay(self._wire(n), round(float(value)))
            elif key.startswith("dead_time"):
                tagger.setDeadtime(self._wire(n), round(float(value)))
            else:
                tagger.setTestSignal(n, bool(value))

    def _wire(self, channel: int) -> int:
        """Return the package's number of an input at its edge."""
        return channel if self._edges[channel] is Edge.RISING else -channel

    def _pause(self, duration_s: float, cancel: threading.Event | None) -> None:
        ends_s = time.monotonic() + duration_s
        while (left_s := ends_s - time.monotonic()) > 0:
            if (cancel is not None and cancel.is_set()) or self._stopped.wait(min(left_s, FETCH_S)):
                raise Cancelled(f"the count of '{self.name}' was cancelled")

    @contextmanager
    def _tagger(self) -> Iterator[Tagger]:
        """Give the open tagger; what the package raises means that it is lost."""
        if self._opened is None:
            raise NotConnected(f"'{self.name}' is not connected")
        try:
            yield self._opened[1]
        except RuntimeError as error:
            if isinstance(error, InstrumentError):
                raise
            self._error = str(error)
            raise NotConnected(f"'{self.name}' was lost: {error}") from error

    def _module(self) -> Package:
        if self._opened is None:
            raise NotConnected(f"'{self.name}' is not connected")
        return self._opened[0]

    def _idle(self, timeout_s: float | None = None) -> AbstractContextManager[None]:
        """Return the turn of an operation; a running stream forbids them."""
        with self._tagger():
            if self._stream is not None:
                raise Busy(f"'{self.name}' streams; close the stream first")
        return self._operation.within(timeout_s)


class SwabianStream(TagStream):
    """Blocks from a running tagger; a thread fetches, one thread reads, any thread closes."""

    def __init__(
        self,
        name: str,
        source: TagSource,
        tagger: Tagger,
        block_ps: int,
        *,
        finish: Callable[[SwabianStream], None],
    ) -> None:
        self.lost_tags = 0
        self._name = name
        self._source = source
        self._tagger = tagger
        self._finish = finish
        self._blocks = Blocks(block_ps)
        self._changed = threading.Condition()
        self._waiting = 0
        self._error: InstrumentError | None = None
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._fetch, name=f"tags {name}", daemon=True)
        self._thread.start()

    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next block once all of its tags are here."""
        deadline_s = time.monotonic() + timeout_s
        with self._changed:
            while (block := self._blocks.next_block()) is None:
                if self._error is not None:
                    raise self._error
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise InstrumentTimeout(f"no complete block of tags within {timeout_s:g} s")
                self._changed.wait(left_s)
            self._waiting = max(self._waiting - len(block), 0)
            self.lost_tags += max(block.lost, 0)
            return block

    def close(self) -> None:
        """Stop the tagger's stream."""
        self._finish(self)

    def fail(self, error: InstrumentError) -> None:
        """End the stream for its reader, once what waits was read."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def end(self) -> None:
        """Stop fetching."""
        self._ended.set()
        self._thread.join(END_TIMEOUT_S)
        self.fail(NotConnected(f"the stream of '{self._name}' was ended"))

    def _fetch(self) -> None:
        try:
            while not self._ended.wait(FETCH_S):
                tags = self._source.getData()
                overflows = self._tagger.getOverflowsAndClear()
                with self._changed:
                    if self._waiting > WAITING_TAGS:
                        self._waiting -= self._blocks.drop()
                    self._waiting += self._blocks.add(tags, overflows=overflows)
                    self._changed.notify_all()
            self._source.stop()
        except RuntimeError as error:
            self.fail(NotConnected(f"'{self._name}' was lost: {error}"))
