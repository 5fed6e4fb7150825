"""A time tagger built on an FPGA that speaks docs/reference/fpga-boards.md.

For laboratories that build their own tagger: up to 64 inputs, times in ps, spans that join.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping

import numpy as np

from drivers.fpga_board import REPLY_TIMEOUT_S, Board, Setting
from drivers.fpga_frames import Frame, Kind, tag_block
from drivers.operation import SET_BACK_S
from qnx_hw.errors import (
    Busy,
    Cancelled,
    InstrumentError,
    InstrumentTimeout,
    NotConnected,
    RangeError,
)
from qnx_hw.instruments.families import TagStream, TimeTagger
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.instruments.values import (
    Edge,
    Identity,
    InstrumentState,
    InstrumentStatus,
    Reference,
    TaggerCapabilities,
)
from qnx_hw.transports import Recorder, left_s, overtime, together

# Spans that wait for a reader; the board sends about 50 a second.
WAITING_SPANS = 2048


# How soon a reader without tags looks whether the wire is still there.
LOSS_CHECK_S = 0.1


class FpgaTagger(TimeTagger):
    """A tagger board at `tcp://host:port` or `serial:///dev/ttyX`."""

    def __init__(
        self, url: str, *, name: str = "fpga-tagger", recorder: Recorder | None = None
    ) -> None:
        self.name = name
        self._board = Board(url, name, "tagger", recorder=recorder, unsolicited=self._arrived)
        self._stream: SpanStream | None = None

    @property
    def capabilities(self) -> TaggerCapabilities:
        """What the board says it can do, once it is connected."""
        facts = self._board.facts
        return TaggerCapabilities(
            n_channels=int(facts.get("inputs", 8)),
            resolution_ps=int(facts.get("resolution_ps", 1)),
            jitter_ps=int(facts.get("jitter_ps", 0)),
            max_rate_cps=float(facts.get("max_rate_cps", 1e7)),
            per_channel_threshold=True,
            has_delay=False,
            has_dead_time=False,
            has_external_clock=True,
        )

    def connect(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> Identity:
        """Open the wire, end a stream that somebody left behind, and ask who is there."""
        self.close()
        return self._board.open(timeout_s=timeout_s)

    def close(self) -> None:
        """Stop what runs and let go of the wire."""
        stream, self._stream = self._stream, None
        if stream is not None:
            stream.end()
        self._board.close()

    def status(self) -> InstrumentStatus:
        """Return how the tagger is, without asking it."""
        stream = self._stream
        state = InstrumentState.READY if stream is None else InstrumentState.STREAMING
        return self._board.status(state, {"gaps": stream.gaps if stream else 0})

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `threshold_N_v`, `edge_N` of each input and `reference`."""
        return self._board.settings(timeout_s)

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply settings, all or none."""
        return self._board.configure(settings, timeout_s)

    def stop(self) -> None:
        """End a count or a stream now."""
        self._board.stop()
        if self._stream is not None:
            self._stream.end()

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set the trigger level and edge of an input."""
        count = self.capabilities.n_channels
        if not 1 <= channel <= count:
            raise RangeError(f"'{self.name}' has inputs 1 to {count}, not {channel}")
        low_v, high_v = self.capabilities.threshold_range_v
        if not low_v <= threshold_v <= high_v:
            raise RangeError(
                f"'{self.name}': threshold {threshold_v:g} V is outside {low_v} to {high_v} V"
            )
        wanted = {f"threshold_{channel}_v": threshold_v, f"edge_{channel}": edge.value}
        return float(self._board.configure(wanted, timeout_s)[f"threshold_{channel}_v"])

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Choose the oscillator."""
        held = self._board.configure({"reference": reference.value}, timeout_s)
        return Reference(str(held["reference"]))

    def count_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Count the tags of a short stream."""
        if not 0.001 <= integration_s <= 3600.0:
            raise RangeError(f"'{self.name}' counts for 0.001 to 3600 s, not {integration_s}")
        counts = np.zeros(256, dtype=np.int64)
        with (
            together(timeout_s),
            self.start_stream(block_s=min(integration_s, 0.1)) as stream,
        ):
            span_s = 0.0
            while span_s < integration_s:
                if cancel is not None and cancel.is_set():
                    raise Cancelled(f"a count of '{self.name}' was cancelled")
                try:
                    block = stream.read(timeout_s=left_s(2.0))
                except StreamEnded as error:
                    raise Cancelled(f"a count of '{self.name}' was stopped") from error
                span_s += (block.end_ps - block.start_ps) / 1e12
                counts += np.bincount(block.channels, minlength=256)
        return tuple(float(counts[n]) / span_s for n in range(1, 1 + self.capabilities.n_channels))

    def start_stream(self, *, block_s: float = 0.1, timeout_s: float | None = None) -> TagStream:
        """Start streaming tags in blocks of at least `block_s`."""
        if not 0.001 <= block_s <= 60.0:
            raise RangeError(f"blocks of '{self.name}' last 0.001 to 60 s, not {block_s} s")
        self._board.check()
        with self._board.operation.within(timeout_s):
            if self._stream is not None:
                raise Busy(f"'{self.name}' streams; close the stream first")
            stream = self._stream = SpanStream(
                self.name, round(block_s * 1e12), self._board.check, self._finish
            )
            try:
                self._board.ask(Kind.START)
            except InstrumentError:
                self._stream = None
                raise
            return stream

    def _finish(self, stream: SpanStream) -> None:
        with overtime(SET_BACK_S), self._board.operation.within():
            if self._stream is stream:
                self._stream = None
                try:
                    self._board.ask(Kind.STOP)
                except NotConnected:
                    return  # it is gone, and with it all that could run

    def _arrived(self, frame: Frame) -> None:
        stream = self._stream
        if stream is not None and frame.kind == Kind.TAGS:
            stream.put(frame.payload)


class StreamEnded(NotConnected):
    """Somebody stopped the tagger."""


class SpanStream(TagStream):
    """Blocks put together from the spans a board sends; one thread reads, any thread closes.

    `check` raises `NotConnected` where the wire is gone; `finish` ends the stream.
    """

    def __init__(
        self,
        name: str,
        block_ps: int,
        check: Callable[[], None],
        finish: Callable[[SpanStream], None],
    ) -> None:
        self.gaps = 0
        """How often spans did not join."""
        self._name = name
        self._check = check
        self._finish = finish
        self._block_ps = block_ps
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque(maxlen=WAITING_SPANS)
        self._spans: list[TagBlock] = []
        self._end_ps: int | None = None
        self._is_over = False

    def end(self) -> None:
        """Let readers know that nothing will come any more."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def put(self, payload: bytes) -> None:
        """Take a span from the I/O thread; the oldest is lost where nobody reads."""
        with self._changed:
            self._waiting.append(payload)
            self._changed.notify_all()

    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next block, in order; a gap in it is a loss of unknown size."""
        deadline_s = time.monotonic() + timeout_s
        while not self._spans or self._spans[-1].end_ps - self._spans[0].start_ps < self._block_ps:
            with self._changed:
                self._changed.wait_for(
                    lambda: self._waiting or self._is_over,
                    min(max(deadline_s - time.monotonic(), 0), LOSS_CHECK_S),
                )
                if self._is_over:
                    raise StreamEnded(f"the stream of '{self._name}' was ended")
                payload = self._waiting.popleft() if self._waiting else None
            if payload is None:
                self._check()
                if time.monotonic() < deadline_s:
                    continue
                raise InstrumentTimeout(f"no complete block of tags within {timeout_s:g} s")
            self._spans.append(tag_block(payload))
        block, self._spans = self._joined(self._spans), []
        return block

    def close(self) -> None:
        """Stop the tagger."""
        self._finish(self)

    def _joined(self, spans: list[TagBlock]) -> TagBlock:
        start_ps = spans[0].start_ps if self._end_ps is None else self._end_ps
        ends = [start_ps, *(span.end_ps for span in spans)]
        gaps = sum(span.start_ps != end for span, end in zip(spans, ends, strict=False))
        self.gaps += gaps
        self._end_ps = ends[-1]
        is_unknown = gaps or any(span.lost == UNKNOWN_LOSS for span in spans)
        return TagBlock(
            np.concatenate([span.times_ps for span in spans]),
            np.concatenate([span.channels for span in spans]),
            start_ps,
            ends[-1],
            UNKNOWN_LOSS if is_unknown else sum(span.lost for span in spans),
        )
