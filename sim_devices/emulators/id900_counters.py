"""The ID900's counters, coincidence counters and histograms."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

# Half width of the window of a combiner that has none set.
HALF_WINDOW_PS = 1000
N_COMBINERS = 32
N_HISTOGRAMS = 4
# Blocks that may be linked one behind the other; a ring of links carries nothing.
DEEPEST = 8
Clicks = Mapping[int, NDArray[np.int64]]


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

    def count(self, clicks: Clicks, now_s: float) -> None:
        """Take the clicks of each input up to a time."""
        for channel, times_ps in clicks.items():
            self._add(f"INPU{channel}", len(times_ps), now_s)
        for number in range(1, N_COMBINERS + 1):
            pair = self._linked(clicks, f"TSCO{number}:FIR", f"TSCO{number}:SECO")
            if pair is not None:
                self._add(f"TSCO{number}", len(self._together(f"TSCO{number}", *pair)), now_s)
        for number in range(1, N_HISTOGRAMS + 1):
            pair = self._linked(clicks, f"HIST{number}:REF", f"HIST{number}:STOP")
            if pair is not None:
                self._fill(f"HIST{number}", *pair)

    def _add(self, name: str, counted: int, now_s: float) -> None:
        self._running[name] = self._running.get(name, 0) + counted
        began_s = self._began_s.setdefault(name, now_s)
        is_over = now_s - began_s >= int(self._value(f"{name}:COUN:INTE")) / 1000.0
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
        return None if first is None or second is None else self._together(name, first, second)

    def _together(
        self, name: str, first: NDArray[np.int64], second: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """Return the first events that have a second one in the combiner's window."""
        early, late = -HALF_WINDOW_PS, HALF_WINDOW_PS
        if self._value(f"{name}:WIND:ENAB") == "ON":
            early, late = (
                int(self._value(f"{name}:WIND:{end}:DELA").removesuffix("TB"))
                for end in ("BEGI", "END")
            )
        low = np.searchsorted(second, first + early, side="left")
        return first[np.searchsorted(second, first + late, side="right") > low]

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
