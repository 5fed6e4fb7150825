"""Keep one instrument connected, and give its tags a stream that survives a lost wire.

The supervisor owns the instrument: one thread connects it, checks who answers, applies the
settings, watches it, and connects again when the wire is lost. Settings are applied again;
motions are never repeated. Drivers raise and neither retry nor log; this is where that happens.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Generic, Self, TypeVar

import numpy as np

from qnx_hw.errors import ConfigError, InstrumentError, InstrumentTimeout, NotConnected
from qnx_hw.instruments.families import Instrument, TagStream, TimeTagger
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock
from qnx_hw.instruments.values import Family, Identity, InstrumentState

log = logging.getLogger(__name__)

InstrumentT = TypeVar("InstrumentT", bound=Instrument)
ResultT = TypeVar("ResultT")
Setting = float | int | str | bool

BACK_OFF_S = (0.2, 0.5, 1.0, 2.0, 5.0)
# To find nobody there costs nobody anything, so that is tried more often: an instrument that
# returns after an hour is ready within a second, too.
ABSENT_RETRY_S = 0.4
# How soon a loss is noticed that no call has met: a status costs nothing, it asks nobody.
WATCH_S = 0.1
PS_PER_S = 1_000_000_000_000


@dataclass(frozen=True, slots=True)
class Health:
    """How an instrument is, for screens and telemetry; taken without asking the instrument."""

    name: str
    family: Family
    state: InstrumentState
    state_age_s: float
    identity: Identity | None
    error: str = ""
    reconnects: int = 0
    counters: Mapping[str, int] = field(default_factory=dict)


class Supervisor(Generic[InstrumentT]):
    """Owns one instrument; every method may be called from any thread.

    `instrument` is an unconnected driver as `registry.make` returns it. `settings` are configured
    after each connect. `start` returns at once; `wait_ready` or `call(..., timeout_s=)` wait.
    """

    def __init__(
        self,
        instrument: InstrumentT,
        *,
        name: str,
        settings: Mapping[str, Setting] | None = None,
        back_off_s: tuple[float, ...] = BACK_OFF_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.instrument = instrument
        self._settings = dict(settings or {})
        self._back_off_s = back_off_s
        self._clock = clock
        self._changed = threading.Condition()
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None
        self._closing = False
        self._state = InstrumentState.DISCONNECTED
        self._state_since_s = clock()
        self._error = ""
        self._identity: Identity | None = None
        self._connects = 0
        self._is_first_failure = True

    def start(self) -> None:
        """Begin to connect, in a thread of its own."""
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=f"supervisor {self.name}", daemon=True
            )
            self._thread.start()

    def close(self) -> None:
        """Bring the instrument to its safe state and let go of it."""
        self._closing = True
        self._wake.set()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join()
        self._thread = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def connects(self) -> int:
        """How often the instrument was connected so far; a new number means a new connection."""
        return self._connects

    @property
    def is_ready(self) -> bool:
        """Whether the instrument is connected and set."""
        return self._state is InstrumentState.READY

    def wait_ready(self, timeout_s: float = 10.0) -> None:
        """Wait until the instrument is connected and set, or raise `NotConnected`."""
        with self._changed:
            self._changed.wait_for(lambda: self.is_ready or self._closing, timeout_s)
            if not self.is_ready:
                raise NotConnected(f"'{self.name}' is not connected: {self._error or 'closed'}")

    def wait_lost(self, timeout_s: float = 10.0) -> None:
        """Wait until the instrument is not ready any more, or raise `InstrumentTimeout`."""
        with self._changed:
            if not self._changed.wait_for(lambda: not self.is_ready, timeout_s):
                raise InstrumentTimeout(f"'{self.name}' was not lost within {timeout_s:g} s")

    def call(
        self, function: Callable[[InstrumentT], ResultT], *, timeout_s: float = 0.0
    ) -> ResultT:
        """Run `function` with the instrument in this thread, waiting for it up to `timeout_s`.

        Nothing is repeated: what a lost wire interrupts raises `NotConnected`.
        """
        self.wait_ready(timeout_s)
        try:
            return function(self.instrument)
        except NotConnected:
            self.report_lost()
            raise

    def report_lost(self) -> None:
        """Have the supervisor look at once whether the instrument is still there."""
        self._wake.set()

    async def run(
        self, function: Callable[[InstrumentT], ResultT], *, timeout_s: float = 0.0
    ) -> ResultT:
        """Do what `call` does, off the event loop."""
        return await asyncio.to_thread(self.call, function, timeout_s=timeout_s)

    def configure(self, settings: Mapping[str, Setting]) -> Mapping[str, Setting]:
        """Apply settings, return what the instrument holds, and keep them for reconnects."""
        held = self.call(lambda instrument: instrument.configure(settings))
        self._settings.update(settings)
        return held

    def health(self) -> Health:
        """Return how the instrument is, without asking it."""
        status = self.instrument.status()
        with self._changed:
            ready = self._state is InstrumentState.READY
            return Health(
                name=self.name,
                family=self.instrument.family,
                state=status.state if ready else self._state,
                state_age_s=self._clock() - self._state_since_s,
                identity=self._identity,
                error=(status.error if ready else "") or self._error,
                reconnects=max(self._connects - 1, 0),
                counters=dict(status.counters),
            )

    def _run(self) -> None:
        failures = 0
        while not self._closing:
            self._wake.clear()
            error = self._attempt()
            if error is None:
                failures = 0
                error = self._watch()
                self.instrument.close()
            if self._closing:
                break
            self._note_lost(error)
            self._wake.clear()
            if not self._closing:
                self._wake.wait(self._pause_s(failures, error))
            failures += 1
        self._enter(InstrumentState.DISCONNECTED, "")

    def _pause_s(self, failures: int, error: Exception | None) -> float:
        pause_s = self._back_off_s[min(failures, len(self._back_off_s) - 1)]
        return min(pause_s, ABSENT_RETRY_S) if isinstance(error, NotConnected) else pause_s

    def _attempt(self) -> Exception | None:
        """Connect, re-identify and set; return what prevented it."""
        if self._connects == 0:
            self._enter(InstrumentState.CONNECTING, self._error)
        try:
            identity = self.instrument.connect()
            if self._identity is not None and _differ(self._identity, identity):
                raise InstrumentError(  # noqa: TRY301 - one place closes after any failure
                    f"another instrument answers for '{self.name}': {identity}"
                )
            if self._settings:
                self.instrument.configure(self._settings)
        except Exception as error:
            if not isinstance(error, InstrumentError | ConfigError | OSError):
                log.exception("%s: its driver failed", self.name)
            self.instrument.close()
            return error
        self._identity = identity
        self._connects += 1
        back = "is back" if self._connects > 1 else "connected"
        log.info("%s %s: %s %s", self.name, back, identity.maker, identity.model)
        self._enter(InstrumentState.READY, "")
        return None

    def _watch(self) -> Exception:
        """Return once the instrument is lost or the supervisor closes."""
        while not self._closing:
            status = self.instrument.status()
            if status.state in {InstrumentState.DISCONNECTED, InstrumentState.FAULT}:
                return NotConnected(status.error or "the wire was lost")
            self._wake.wait(WATCH_S)
            self._wake.clear()
        return NotConnected("closed")

    def _note_lost(self, error: Exception | None) -> None:
        text = str(error) or type(error).__name__
        was = self._state
        self._enter(
            InstrumentState.RECONNECTING if self._connects else InstrumentState.CONNECTING, text
        )
        if was is InstrumentState.READY:
            log.warning("%s lost: %s", self.name, text)
        elif was is InstrumentState.CONNECTING and self._is_first_failure:
            self._is_first_failure = False
            log.warning("%s cannot be reached: %s", self.name, text)

    def _enter(self, state: InstrumentState, error: str) -> None:
        with self._changed:
            if state is not self._state:
                self._state_since_s = self._clock()
            self._state, self._error = state, error
            self._changed.notify_all()


class SupervisedStream(TagStream):
    """Tags of a supervised tagger; a lost wire becomes a gap block and the stream goes on.

    The gap block spans the time without the tagger as this computer measured it, with
    `lost=UNKNOWN_LOSS`; the blocks after it are shifted to join it, so that a clock that was
    matched before has to be matched again. For one reading thread.
    """

    def __init__(
        self,
        supervisor: Supervisor[TimeTagger],
        *,
        block_s: float = 0.1,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._supervisor = supervisor
        self._block_s = block_s
        self._clock = clock
        self._inner: TagStream | None = None
        self._is_joined = True
        self._shift_ps = 0
        self._end_ps: int | None = None
        self._last_s = 0.0
        self._waiting: TagBlock | None = None

    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next block, or raise `InstrumentTimeout` while the tagger is away."""
        deadline_s = self._clock() + timeout_s
        if self._waiting is not None:
            block, self._waiting = self._waiting, None
            return self._passed(block)
        while True:
            try:
                return self._passed(self._next(deadline_s))
            except NotConnected as error:
                self._inner = None
                self._supervisor.report_lost()
                if self._clock() >= deadline_s:
                    raise InstrumentTimeout(f"no tags within {timeout_s:g} s: {error}") from error

    def close(self) -> None:
        """Stop the stream where the tagger still answers."""
        inner, self._inner = self._inner, None
        if inner is not None:
            inner.close()

    def _next(self, deadline_s: float) -> TagBlock:
        if self._inner is None:
            self._inner = self._supervisor.call(
                lambda tagger: tagger.start_stream(block_s=self._block_s),
                timeout_s=max(deadline_s - self._clock(), 0.0),
            )
            self._is_joined = False
        block = self._inner.read(timeout_s=max(deadline_s - self._clock(), 0.0))
        if not self._is_joined:
            self._is_joined = True
            if self._end_ps is not None:
                return self._gap_before(block, self._end_ps)
        return self._shifted(block)

    def _gap_before(self, first: TagBlock, start_ps: int) -> TagBlock:
        """Return the gap that ends where `first` begins, and keep `first` for the next read."""
        away_ps = round((self._clock() - self._last_s) * PS_PER_S) - (first.end_ps - first.start_ps)
        end_ps = start_ps + max(away_ps, 1)
        self._shift_ps = end_ps - first.start_ps
        self._waiting = self._shifted(first)
        nothing = np.empty(0, np.int64), np.empty(0, np.uint8)
        return TagBlock(*nothing, start_ps, end_ps, lost=UNKNOWN_LOSS)

    def _shifted(self, block: TagBlock) -> TagBlock:
        if not self._shift_ps:
            return block
        return TagBlock(
            block.times_ps + self._shift_ps,
            block.channels,
            block.start_ps + self._shift_ps,
            block.end_ps + self._shift_ps,
            block.lost,
            block.overflow,
        )

    def _passed(self, block: TagBlock) -> TagBlock:
        self._end_ps = block.end_ps
        self._last_s = self._clock()
        return block


def _differ(before: Identity, now: Identity) -> bool:
    """Whether two identities are two instruments; new firmware is still the same one."""
    return (before.maker, before.model, before.serial) != (now.maker, now.model, now.serial)
