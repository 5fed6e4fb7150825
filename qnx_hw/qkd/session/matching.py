"""Alice's side of the clocks: find Bob's clock, follow it, and pair his events with hers."""

from __future__ import annotations

from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np

from qnx_hw.api.schema import ClockView, Histogram
from qnx_hw.errors import ChannelError
from qnx_hw.qkd.messages import Bits
from qnx_hw.qkd.parameters import SessionParameters
from qnx_hw.qkd.sifting import Events
from qnx_hw.timing.arrays import Times
from qnx_hw.timing.clock_sync import Tracker, acquire
from qnx_hw.timing.coincidence import Pairs, match

MAX_HELD_EVENTS = 1 << 24
"""Most events of one side that wait for the other side's."""
FIRST_SEARCH_PS = 1_000_000_000_000
"""The clock is looked for in one second of tags first, then in 2 and 4."""
LONGEST_SEARCH_PS = 4 * FIRST_SEARCH_PS
SLACK_PS = 8_000_000_000_000
"""How far one party's tags may run ahead of the other's while there is no lock."""
HISTOGRAM_REACH = 20
"""The delay histogram shows a quarter of so many windows to each side of the peak; accidentals
are counted half of so many away from it, far behind the peak's foot."""
HISTOGRAM_BINS = 101


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """A span of Bob's events as he published it; `block` is 0 outside blocks."""

    block: int
    start_ps: int
    end_ps: int
    times_ps: Times
    is_final: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Matched:
    """What became of a chunk: which of Bob's events have a partner, and Alice's part of those."""

    chunk: Chunk
    is_locked: bool
    paired: Bits
    bases: Bits
    outcomes: Bits
    accidentals: float = 0.0
    kinds: Bits | None = None
    """Which intensity each event's pulse had, where Alice sent pulses."""
    late_ps: Times | None = None
    """How much later than Bob's event Alice's was, where she has detectors."""


class Partners(Protocol):
    """What Alice holds against Bob's events: her own, or what she sent."""

    @property
    @abstractmethod
    def is_locked(self) -> bool:
        """Whether Bob's clock is known."""

    @abstractmethod
    def add_own(self, events: Events) -> None:
        """Take Alice's next events."""

    @abstractmethod
    def add_chunk(self, chunk: Chunk) -> None:
        """Take Bob's next chunk; one that does not join the last is a `ChannelError`."""

    @abstractmethod
    def run(self) -> Iterator[Matched]:
        """Yield all chunks that can be settled now, in order."""

    @abstractmethod
    def take_histogram(self) -> Histogram | None:
        """Return the delays since the last call, where there are any."""

    @abstractmethod
    def clock_view(self) -> ClockView:
        """Return how Bob's clock stands."""


class _Store:
    """Alice's own events, oldest first, dropped from the front."""

    def __init__(self) -> None:
        self._parts: deque[Events] = deque()
        self._count = 0
        self.end_ps: int | None = None

    def add(self, events: Events) -> None:
        self._parts.append(events)
        self._count += len(events)
        self.end_ps = events.end_ps
        while self._count > MAX_HELD_EVENTS:
            self._count -= len(self._parts.popleft())

    @property
    def start_ps(self) -> int:
        """Where the oldest events begin."""
        return self._parts[0].start_ps if self._parts else 0

    def times(self) -> Times:
        """Return all times."""
        return np.concatenate([part.times_ps for part in self._parts])

    def drop_before(self, time_ps: int) -> None:
        while self._parts and self._parts[0].end_ps <= time_ps:
            self._count -= len(self._parts.popleft())

    def between(self, start_ps: int, end_ps: int) -> tuple[Times, Bits, Bits]:
        """Return times, bases and outcomes of the events in a span."""
        parts = [p for p in self._parts if p.end_ps > start_ps and p.start_ps < end_ps]
        if not parts:
            none = np.empty(0, dtype=np.uint8)
            return np.empty(0, dtype=np.int64), none, none
        times = np.concatenate([part.times_ps for part in parts])
        cut = slice(*(int(n) for n in np.searchsorted(times, (start_ps, end_ps))))
        bases = np.concatenate([part.bases for part in parts])
        outcomes = np.concatenate([part.outcomes for part in parts])
        return times[cut], bases[cut], outcomes[cut]


class Matching(Partners):
    """Takes both streams in order and gives Bob's chunks back with Alice's partners.

    Without a lock it holds both streams until they cover enough time, looks for Bob's clock, and
    tries again with more if there is none. With a lock a chunk waits only until Alice's own
    events reach its end.
    """

    def __init__(self, parameters: SessionParameters, should_stop: Callable[[], bool]) -> None:
        self._should_stop = should_stop
        self._parameters = parameters
        self._window_ps = parameters.coincidence_window_ps
        self._delays = np.zeros((1, 1), dtype=np.int64)
        self._own = _Store()
        self._chunks: deque[Chunk] = deque()
        self._held = 0
        self._end_ps: int | None = None
        self._tracker: Tracker | None = None
        self._search_ps = FIRST_SEARCH_PS
        self._followed_ps = 0
        self._counts = np.zeros(HISTOGRAM_BINS, dtype=np.int64)

    @property
    def is_locked(self) -> bool:
        """Whether Bob's clock is known."""
        return self._tracker is not None

    def add_own(self, events: Events) -> None:
        """Take Alice's next events."""
        self._own.add(events)
        if self._tracker is None:
            self._own.drop_before(events.end_ps - LONGEST_SEARCH_PS - SLACK_PS)

    def add_chunk(self, chunk: Chunk) -> None:
        """Take Bob's next chunk; one that does not join the last is a `ChannelError`."""
        if chunk.end_ps < chunk.start_ps or chunk.start_ps != (self._end_ps or chunk.start_ps):
            raise ChannelError("the peer's event times do not join")
        self._end_ps = chunk.end_ps
        self._chunks.append(chunk)
        self._held += chunk.times_ps.size
        if self._held > MAX_HELD_EVENTS:
            raise ChannelError("the peer's events come, but this station's do not")

    def run(self) -> Iterator[Matched]:
        """Yield all chunks that can be settled now, in order."""
        if self._tracker is None:
            yield from self._search()
        while self._tracker is not None and self._chunks:
            matched = self._settle(self._tracker, self._chunks[0])
            if matched is None:
                return
            self._held -= self._chunks.popleft().times_ps.size
            yield matched
            if not self._tracker.is_locked:
                self._tracker = None

    def _search(self) -> Iterator[Matched]:
        """Look for Bob's clock once enough is held; chunks of blocks are of no use by then."""
        for position, chunk in enumerate(self._chunks):
            if chunk.block:
                yield _unmatched(chunk)
                self._chunks[position] = replace(chunk, block=0)
        if not self._chunks or self._own.end_ps is None:
            return
        held_ps = self._chunks[-1].end_ps - self._chunks[0].start_ps
        if min(held_ps, self._own.end_ps - self._own.start_ps) < self._search_ps:
            return
        lock = acquire(
            self._own.times(),
            np.concatenate([chunk.times_ps for chunk in self._chunks]),
            offset_limit_s=self._parameters.clock_offset_limit_s,
            drift_limit_ppm=self._parameters.clock_drift_limit_ppm,
            should_stop=self._should_stop,
        )
        if lock is not None:
            self._tracker = Tracker(lock)
            self._search_ps, self._followed_ps = FIRST_SEARCH_PS, self._own.end_ps
            self._chunks.clear()  # the lock holds from the end of these on
            self._held = 0
            return
        if self._search_ps < LONGEST_SEARCH_PS:
            self._search_ps *= 2
            return
        self._chunks.clear()
        self._held = 0

    def _settle(self, tracker: Tracker, chunk: Chunk) -> Matched | None:
        reach_ps = HISTOGRAM_REACH * self._window_ps
        ends = np.array([chunk.start_ps, chunk.end_ps], dtype=np.int64)
        start_ps, end_ps = (int(end) for end in tracker.to_reference(ends))
        start_ps, end_ps = start_ps - reach_ps, end_ps + reach_ps
        if self._own.end_ps is None or self._own.end_ps < end_ps:
            return None
        news, _, _ = self._own.between(self._followed_ps, end_ps)
        self._followed_ps = max(self._followed_ps, end_ps)
        is_locked = tracker.follow(news, chunk.times_ps)
        times, bases, outcomes = self._own.between(start_ps, end_ps)
        self._own.drop_before(start_ps - reach_ps)
        theirs = tracker.to_reference(chunk.times_ps)
        pairs = self._match(times, theirs, self._window_ps)
        paired = np.zeros(theirs.size, dtype=np.uint8)
        paired[pairs.index_b] = 1
        self._gather(times, theirs)
        return Matched(
            chunk,
            is_locked,
            paired,
            bases[pairs.index_a],
            outcomes[pairs.index_a],
            self._accidentals(times, theirs),
            late_ps=-pairs.dt_ps,
        )

    def _match(self, ours: Times, theirs: Times, window_ps: int) -> Pairs:
        none_a, none_b = (np.zeros(n, dtype=np.uint8) for n in (ours.size, theirs.size))
        return match(ours, none_a, theirs, none_b, self._delays, window_ps)

    def _accidentals(self, ours: Times, theirs: Times) -> float:
        """Count pairs with Bob's events shifted far off the peak, to both sides."""
        shift = HISTOGRAM_REACH * self._window_ps // 2
        found = [self._match(ours, theirs + way, self._window_ps) for way in (shift, -shift)]
        return sum(map(len, found)) / len(found)

    def _gather(self, ours: Times, theirs: Times) -> None:
        start_ps, bin_ps = self._bins()
        places = (self._match(ours, theirs, bin_ps * HISTOGRAM_BINS).dt_ps - start_ps) // bin_ps
        inside = places[(places >= 0) & (places < HISTOGRAM_BINS)]
        self._counts += np.bincount(inside, minlength=HISTOGRAM_BINS)

    def _bins(self) -> tuple[int, int]:
        bin_ps = max(1, HISTOGRAM_REACH * self._window_ps // (2 * HISTOGRAM_BINS))
        return -(bin_ps * HISTOGRAM_BINS) // 2, bin_ps

    def take_histogram(self) -> Histogram:
        """Return the delays (Bob minus Alice) since the last call, with peak and half width."""
        start_ps, bin_ps = self._bins()
        counts, self._counts = self._counts, np.zeros(HISTOGRAM_BINS, dtype=np.int64)
        top = int(counts.argmax())
        above = np.flatnonzero(counts * 2 >= counts[top])
        seen = int(counts[top]) > 0
        return Histogram(
            start_ps=start_ps,
            bin_ps=bin_ps,
            counts=tuple(int(count) for count in counts),
            peak_ps=start_ps + (top + 0.5) * bin_ps if seen else None,
            fwhm_ps=float((above[-1] - above[0] + 1) * bin_ps) if seen else None,
        )

    def clock_view(self) -> ClockView:
        """Return how Bob's clock stands at the end of what was settled."""
        if self._tracker is None or self._end_ps is None:
            return ClockView(is_locked=False)
        return ClockView(
            is_locked=True,
            offset_ps=float(self._tracker.clock.at(self._end_ps)),
            drift_ppb=self._tracker.clock.rate * 1e9,
            jitter_ps=self._tracker.jitter_ps,
        )


def _unmatched(chunk: Chunk) -> Matched:
    none = np.empty(0, dtype=np.uint8)
    return Matched(chunk, False, np.zeros(chunk.times_ps.size, dtype=np.uint8), none, none)
