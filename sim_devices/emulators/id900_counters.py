"""The ID900's counters, coincidence counters and histograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from numpy.typing import NDArray

# Half width of the window of a combiner that has none set.
HALF_WINDOW_PS = 1000
N_COMBINERS = 32
N_HISTOGRAMS = 4
# Blocks that may be linked one behind the other; a ring of links carries nothing.
DEEPEST = 8
Events = NDArray[np.int64]
Clicks = Mapping[int, Events]
NOTHING: Events = np.empty(0, dtype=np.int64)
# Cycles last whole milliseconds.
LEAST_STEP_S = 0.001
BEFORE_ALL = -(1 << 62)


class Counters:
    """Everything the device counts by itself; `value` shows a setting."""

    def __init__(self, value: Callable[[str], str]) -> None:
        self._value = value
        self._running: dict[str, int] = {}
        self._complete: dict[str, int] = {}
        self._began_s: dict[str, float] = {}
        self._histograms: dict[str, NDArray[np.int64]] = {}

    def shown(self, name: str) -> str:
        """Return the counts of the last full cycle, or all so far."""
        if self._value(f"{name}:COUN:MODE") == "ACCUM":
            return str(self._running.get(name, 0))
        return str(self._complete.get(name, 0))

    def reset(self, name: str) -> None:
        """Begin at zero."""
        self._running[name] = self._complete[name] = 0

    def histogram(self, name: str, *, flush: bool) -> str:
        """Return a histogram, or empty it."""
        if flush:
            self._histograms.pop(name, None)
            return "Flushed Histogram!"
        n_bins = int(self._value(f"{name}:BCOU"))
        counts = self._histograms.get(name, np.zeros(n_bins, dtype=np.int64))
        return "[" + ",".join(str(count) for count in counts.tolist()) + "]"

    def count(self, clicks: Clicks, from_s: float, until_s: float) -> None:
        """Take the clicks of each input between two times."""
        span_s = (from_s, until_s)
        for channel, times_ps in clicks.items():
            self._add(f"INPU{channel}", len(times_ps), span_s)
        for number in range(1, N_COMBINERS + 1):
            pair = self._linked(clicks, f"TSCO{number}:FIR", f"TSCO{number}:SECO")
            if pair is not None:
                given = self._combined(clicks, f"TSCO{number}", *pair)
                self._add(f"TSCO{number}", len(given), span_s)
        for number in range(1, N_HISTOGRAMS + 1):
            pair = self._linked(clicks, f"HIST{number}:REF", f"HIST{number}:STOP")
            if pair is not None and self._is_gated_on(f"HIST{number}"):
                self._fill(f"HIST{number}", *pair)

    def _is_gated_on(self, name: str) -> bool:
        """Tell whether the generator that a histogram is linked to lets it fill."""
        enabler = self._value(f"{name}:ENAB:LINK")
        return not enabler.startswith("TSGE") or self._value(f"{enabler}:ENAB") == "ON"

    def _add(self, name: str, counted: int, span_s: tuple[float, float]) -> None:
        self._running[name] = self._running.get(name, 0) + counted
        from_s, now_s = span_s
        began_s = self._began_s.setdefault(name, from_s)
        left_s = int(self._value(f"{name}:COUN:INTE")) / 1000.0 - (now_s - began_s)
        is_over = left_s < LEAST_STEP_S / 2
        if is_over and self._value(f"{name}:COUN:MODE") == "CYCLE":
            self._complete[name], self._running[name] = self._running[name], 0
            self._began_s[name] = now_s

    def _linked(
        self, clicks: Clicks, first: str, second: str
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
        """Return the events of two linked blocks; None if one of them has none to give."""
        starts, stops = (self._events(clicks, self._value(f"{n}:LINK")) for n in (first, second))
        return None if starts is None or stops is None else (starts, stops)

    def _events(self, clicks: Clicks, name: str, depth: int = 0) -> NDArray[np.int64] | None:
        """Return what comes out of an input, a delay or a combiner."""
        if depth > DEEPEST or name == "NONE":
            return None
        if name.startswith("INPU"):
            return clicks.get(int(name.removeprefix("INPU")))
        if name.startswith("DELA"):
            source = self._events(clicks, self._value(f"{name}:LINK"), depth + 1)
            delay_ps = int(self._value(f"{name}:VALU").removesuffix("TB"))
            return None if source is None else source + delay_ps
        if not name.startswith("TSCO"):
            return None
        links = [self._value(f"{name}:{way}:LINK") for way in ("FIR", "SECO")]
        first, second = (self._events(clicks, link, depth + 1) for link in links)
        if first is None or second is None:
            return None
        return self._combined(clicks, name, first, second, depth)

    def _combined(
        self, clicks: Clicks, name: str, first: Events, second: Events, depth: int = 0
    ) -> Events:
        """Return what a combiner gives out: OPIN of what is in its window, OPOU of the rest."""
        given = [NOTHING]
        for way, is_within in (("OPIN", True), ("OPOU", False)):
            operation = self._value(f"{name}:{way}")
            if operation == "MUTE":
                continue
            ones, others = (
                events[self._is_within(clicks, name, events, first, depth) == is_within]
                for events in (first, second)
            )
            if operation in {"OR", "ONLYFIR"}:
                given.append(ones)
            if operation in {"OR", "ONLYSEC"}:
                given.append(others)
            if operation == "AND":
                given.append(_with_partner(first, others, *self._span(name)))
        return np.sort(np.concatenate(given))

    def _is_within(
        self, clicks: Clicks, name: str, events: Events, first: Events, depth: int
    ) -> NDArray[np.bool_]:
        """Tell which events lie in the window: all of them where there is none.

        It opens and closes with the events linked to its ends, and where none are linked with each
        event of the first input.
        """
        if self._value(f"{name}:WIND:ENAB") != "ON":
            return np.ones(len(events), dtype=bool)
        links = [self._value(f"{name}:WIND:{end}:LINK") for end in ("BEGI", "END")]
        early, late = self._span(name)
        if "NONE" in links or links[0] == links[1]:
            found = first if "NONE" in links else self._events(clicks, links[0], depth + 1)
            origins = NOTHING if found is None else found
            return _has_partner(events, origins, -late, -early)
        ends = [self._events(clicks, link, depth + 1) for link in links]
        opens, closes = (NOTHING if each is None else each for each in ends)
        last_open = _last_before(events, opens + early, side="right")
        return last_open > _last_before(events, closes + late, side="left")

    def _span(self, name: str) -> tuple[int, int]:
        """Return from when to when after its first event a combiner looks for the second."""
        if self._value(f"{name}:WIND:ENAB") != "ON":
            return -HALF_WINDOW_PS, HALF_WINDOW_PS
        early, late = (
            int(self._value(f"{name}:WIND:{end}:DELA").removesuffix("TB"))
            for end in ("BEGI", "END")
        )
        return early, late

    def _fill(self, name: str, starts: NDArray[np.int64], stops: NDArray[np.int64]) -> None:
        n_bins = int(self._value(f"{name}:BCOU"))
        low = int(self._value(f"{name}:MIN").removesuffix("TB"))
        width = int(self._value(f"{name}:BWID").removesuffix("TB"))
        last = np.searchsorted(starts, stops, side="right") - 1
        bins = (stops[last >= 0] - starts[last[last >= 0]] - low) // width
        counts = np.bincount(bins[(bins >= 0) & (bins < n_bins)], minlength=n_bins)
        before = self._histograms.get(name)
        fits = before is not None and len(before) == n_bins
        self._histograms[name] = counts + before if fits and before is not None else counts


def _has_partner(events: Events, others: Events, early: int, late: int) -> NDArray[np.bool_]:
    """Tell which events have one of the others between `early` and `late` after them."""
    low = np.searchsorted(others, events + early, side="left")
    return np.asarray(np.searchsorted(others, events + late, side="right") > low)


def _with_partner(events: Events, others: Events, early: int, late: int) -> Events:
    return events[_has_partner(events, others, early, late)]


def _last_before(events: Events, others: Events, side: Literal["left", "right"]) -> Events:
    """Return the last of the others before each event, or with it where `side` is right."""
    place = np.searchsorted(others, events, side=side)
    return np.concatenate([[BEFORE_ALL], others])[place]
