"""S-Fifteen TDC1: four inputs, 2 ns slots, counts and time stamps over a virtual serial port.

Source: the maker's command list and scripts for the TDC1. The unit answers queries by one line
and settings by nothing, so each setting is verified by its query. While it streams it obeys only
`abort` and `*RST`. The trigger level is common to all inputs.
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from contextlib import AbstractContextManager, suppress

from drivers.held_link import HeldLink
from drivers.knobs import Setting
from drivers.operation import Operation, all_or_none
from drivers.tdc1_stream import Tdc1Stream
from drivers.tdc1_words import UNIT_PS
from qnx_hw.errors import (
    Busy,
    InstrumentError,
    InstrumentRefused,
    NotConnected,
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
    Cancel,
    Fence,
    Lines,
    LinkTraits,
    Matcher,
    Recorder,
)

CAPABILITIES = TaggerCapabilities(
    n_channels=4,
    resolution_ps=UNIT_PS,
    jitter_ps=200,  # data sheet, rms
    max_rate_cps=4e6,  # what the maker's own driver budgets
    per_channel_threshold=False,
    has_delay=False,
    has_dead_time=False,
    has_external_clock=True,
    threshold_range_v=(-3.3, 3.3),
)
# Late stream data stay in the USB buffer after `abort`; the maker reads until 20..50 ms of silence.
TRAITS = LinkTraits(quiet_s=0.05, fence=Fence(b"*IDN?\r\n", lambda line: b"TDC1" in line.upper()))
REPLY_TIMEOUT_S = 2.0
ABORT = b"\r\nabort\r\n"
LONGEST_INTEGRATION_S = 65.535
# The level's reply shows two or three digits.
LEVEL_TOLERANCE_V = 0.02
SINGLES, TIMESTAMP = "0", "3"
_REFERENCES = {Reference.AUTO: "0", Reference.EXTERNAL: "1", Reference.INTERNAL: "2"}
_NAME = re.compile(rb"[A-Za-z][\w .,:/+-]{5,80}")
_EDGE_COMMANDS = {Edge.FALLING: "NEG", Edge.RISING: "POS"}


class Tdc1(TimeTagger):
    """A TDC1 at `serial:///dev/ttyACM0` or, through a serial server, at `tcp://host:port`."""

    def __init__(self, url: str, *, name: str = "tdc1", recorder: Recorder | None = None) -> None:
        self.name = name
        self._held = HeldLink(url, name, recorder=recorder, traits=TRAITS)
        self._operation = Operation(name)
        self._stream: Tdc1Stream | None = None
        self._stopped = threading.Event()
        self._edge = Edge.FALLING
        self._resyncs = 0
        self._late_tags = 0

    @property
    def capabilities(self) -> TaggerCapabilities:
        """What a TDC1 can do."""
        return CAPABILITIES

    def connect(self, *, timeout_s: float = REPLY_TIMEOUT_S) -> Identity:
        """Open the port, end a stream that somebody left behind, and ask who is there."""
        with self._operation.within(timeout_s):
            self.close()
            opening = self._held.opening(Lines(), timeout_s=timeout_s, greeting=ABORT)
            with opening:
                answer = self._ask("*IDN?", _is_name, timeout_s)
                if "TDC1" not in answer.upper():
                    raise ProtocolError(f"'{self.name}' is no TDC1: {answer!r}", answer.encode())
            rest = answer[answer.upper().index("TDC1") + len("TDC1") :]
            return Identity("S-Fifteen", "TDC1", firmware=rest.strip())

    def close(self) -> None:
        """Stop what runs and let go of the port."""
        with self._operation.within():
            self._end_stream()
            self._held.close(ABORT)

    def status(self) -> InstrumentStatus:
        """Return how the tagger is, without asking it."""
        stream = self._stream
        state = InstrumentState.READY if stream is None else InstrumentState.STREAMING
        resyncs = self._resyncs + (stream.resyncs if stream else 0)
        late = self._late_tags + (stream.late_tags if stream else 0)
        return self._held.status(state, more={"resyncs": resyncs, "lost_tags": late})

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, Setting]:
        """Read `threshold_v` and `reference`; the `edge` cannot be read, it is as last set."""
        with self._idle(timeout_s):
            level = self._ask("LEVEL?", _is_level, timeout_s)
            reference = self._ask("REFCLK?", _is_integer, timeout_s)
        names = {code: name for name, code in _REFERENCES.items()}
        if reference not in names:
            raise ProtocolError(
                f"'{self.name}' reports the unknown clock {reference!r}", reference.encode()
            )
        return {
            "threshold_v": float(level.split()[0]),
            "edge": self._edge.value,
            "reference": names[reference].value,
        }

    def configure(
        self, settings: Mapping[str, Setting], *, timeout_s: float | None = None
    ) -> Mapping[str, Setting]:
        """Apply `threshold_v`, `edge`, `reference`; all are checked before one is sent."""
        unknown = set(settings) - {"threshold_v", "edge", "reference"}
        if unknown:
            raise Unsupported(f"'{self.name}' has no setting {', '.join(sorted(unknown))}")
        try:
            edge = Edge(str(settings.get("edge", self._edge)))
            reference = Reference(str(settings["reference"])) if "reference" in settings else None
            threshold_v = float(settings["threshold_v"]) if "threshold_v" in settings else None
        except ValueError as error:
            raise RangeError(f"'{self.name}': {error}") from error
        if threshold_v is not None:
            self._check_threshold(threshold_v)
        with self._idle(timeout_s):
            if threshold_v is None and "edge" in settings:
                threshold_v = self._level_v(timeout_s)
            before_v, before = self._level_v(timeout_s), self._edge
            with all_or_none(lambda: self.set_threshold_v(1, before_v, before)):
                if threshold_v is not None:
                    self.set_threshold_v(1, threshold_v, edge)
                if reference is not None:
                    self.set_reference(reference)
            return self.settings(timeout_s=timeout_s)

    def stop(self) -> None:
        """Abort a count or a stream now."""
        link = self._held.link()
        self._stopped.set()
        self._held.halt(ABORT)
        if self._stream is not None:
            link.end_stream()

    def set_threshold_v(
        self, channel: int, threshold_v: float, edge: Edge, *, timeout_s: float | None = None
    ) -> float:
        """Set the common trigger level and edge of all inputs."""
        if not 1 <= channel <= CAPABILITIES.n_channels:
            raise RangeError(f"'{self.name}' has inputs 1 to 4, not {channel}")
        self._check_threshold(threshold_v)
        with self._idle(timeout_s):
            self._tell(f"{_EDGE_COMMANDS[edge]} {threshold_v:g}")
            held_v = self._level_v(timeout_s)
            if not math.isclose(held_v, threshold_v, abs_tol=LEVEL_TOLERANCE_V):
                raise InstrumentRefused(
                    f"'{self.name}' holds a threshold of {held_v:g} V, not {threshold_v:g} V"
                )
            self._edge = edge
            return held_v

    def set_reference(self, reference: Reference, *, timeout_s: float | None = None) -> Reference:
        """Choose the clock and check that the unit took it."""
        with self._idle(timeout_s):
            self._set_and_check("REFCLK", _REFERENCES[reference], timeout_s)
        return reference

    def count_rates(
        self,
        integration_s: float,
        *,
        timeout_s: float | None = None,
        cancel: threading.Event | None = None,
    ) -> tuple[float, ...]:
        """Count for 1 ms to 65.535 s; a cancelled or timed-out count is aborted."""
        if not 0.001 <= integration_s <= LONGEST_INTEGRATION_S:
            raise RangeError(
                f"'{self.name}' counts for 0.001 to {LONGEST_INTEGRATION_S} s, not {integration_s}"
            )
        time_ms = round(integration_s * 1000)
        with self._idle(timeout_s):
            self._set_mode("SINGLES", SINGLES, None)
            self._set_time_ms(time_ms, None)
            self._stopped.clear()
            try:
                line = self._held.link().query(
                    b"COUNTS?\r\n",
                    _is_counts,
                    timeout_s=integration_s + REPLY_TIMEOUT_S,
                    cancel=_Either(self._stopped, cancel),
                )
            except (InstrumentError, KeyboardInterrupt):
                self._held.halt_quietly(ABORT)
                raise
        return tuple(int(count) * 1000 / time_ms for count in line.split())

    def start_stream(self, *, block_s: float = 0.1, timeout_s: float | None = None) -> TagStream:
        """Start streaming; the first block begins with the first word that arrives."""
        if not 0.001 <= block_s <= 60.0:
            raise RangeError(f"blocks of '{self.name}' last 0.001 to 60 s, not {block_s} s")
        with self._idle(timeout_s):
            link = self._held.link()
            self._set_mode("TIMESTAMP", TIMESTAMP, None)
            self._set_time_ms(0, None)
            stream = Tdc1Stream(self._finish, link.start_stream(), round(block_s * 1e12))
            self._stream = stream
            try:
                link.send(b"INPKT;counts?;\r\n")
            except (InstrumentError, KeyboardInterrupt):
                self._end_stream()
                raise
            return stream

    def _finish(self, stream: Tdc1Stream) -> None:
        with self._operation.within():
            if self._stream is not stream:
                return
            with suppress(NotConnected):
                try:
                    self._held.halt(ABORT)
                finally:
                    self._end_stream()
                self._held.link().drain(fenced=True)

    def _end_stream(self) -> None:
        stream, self._stream = self._stream, None
        if stream is not None:
            self._resyncs += stream.resyncs
            self._late_tags += stream.late_tags
            self._held.link().end_stream()

    def _idle(self, timeout_s: float | None = None) -> AbstractContextManager[None]:
        """Return the turn of an operation; a lost wire or a running stream forbids them."""
        link = self._held.link()
        if link.error is not None:
            raise NotConnected(f"'{self.name}' was lost: {link.error}")
        if self._stream is not None:
            raise Busy(f"'{self.name}' streams; close the stream first")
        return self._operation.within(timeout_s)

    def _tell(self, command: str) -> None:
        self._held.link().send(command.encode("ascii") + b"\r\n", timeout_s=REPLY_TIMEOUT_S)

    def _ask(self, command: str, matcher: Matcher, timeout_s: float | None) -> str:
        reply = self._held.link().query(
            command.encode("ascii") + b"\r\n", matcher, timeout_s=timeout_s or REPLY_TIMEOUT_S
        )
        return reply.decode("latin-1").strip()

    def _level_v(self, timeout_s: float | None) -> float:
        return float(self._ask("LEVEL?", _is_level, timeout_s).split()[0])

    def _set_and_check(self, name: str, value: str, timeout_s: float | None) -> None:
        self._tell(f"{name} {value}")
        held = self._ask(f"{name}?", _is_integer, timeout_s)
        if held != value:
            raise InstrumentRefused(f"'{self.name}' refused {name} {value}: it holds {held}")

    def _set_mode(self, command: str, code: str, timeout_s: float | None) -> None:
        self._tell(command)
        held = self._ask("MODE?", _is_integer, timeout_s)
        if held != code:
            raise InstrumentRefused(f"'{self.name}' refused {command}: its mode is {held}")

    def _set_time_ms(self, time_ms: int, timeout_s: float | None) -> None:
        self._tell(f"TIME {time_ms}")
        # The reply is a signed 16-bit number.
        held = int(self._ask("TIME?", _is_integer, timeout_s)) % 65536
        if held != time_ms:
            raise InstrumentRefused(f"'{self.name}' refused TIME {time_ms}: it holds {held}")

    def _check_threshold(self, threshold_v: float) -> None:
        low_v, high_v = CAPABILITIES.threshold_range_v
        if not low_v <= threshold_v <= high_v:
            raise RangeError(
                f"'{self.name}': threshold {threshold_v:g} V is outside {low_v} to {high_v} V"
            )


class _Either:
    """Set once one of two events is."""

    def __init__(self, first: Cancel, second: Cancel | None) -> None:
        self._first = first
        self._second = second

    def is_set(self) -> bool:
        return self._first.is_set() or (self._second is not None and self._second.is_set())


def _is_name(line: bytes) -> bool:
    """Whether it is a name, and not what is left of a stream; that may come before the name."""
    return b"TDC1" in line.upper() or _NAME.fullmatch(line.strip()) is not None


def _is_integer(line: bytes) -> bool:
    text = line.strip()
    return text.isdigit() or (text.startswith(b"-") and text[1:].isdigit())


def _is_level(line: bytes) -> bool:
    words = line.split()
    try:
        return math.isfinite(float(words[0])) and line.upper().split()[1:] in ([], [b"V"])
    except (ValueError, IndexError):
        return False


def _is_counts(line: bytes) -> bool:
    words = line.split()
    return len(words) == 4 and all(word.isdigit() for word in words)
