"""What an ID900 counts by itself: its inputs, coincidences of two, and histograms of their times.

Source: ID Quantique, "ID900 Time Controller User Guide": INPUt:COUNter, TSCO (time-stamp
combiners) and HISTogram. A combiner counts where both of its inputs click within the window that
it holds; a histogram is of the times from the last click of one input to each of another.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from drivers.id900_line import Id900Line
from drivers.id900_settings import CHANNELS
from drivers.knobs import number_within
from qnx_hw.errors import ProtocolError, RangeError

COUNT_RANGE_S = (0.001, 65.535)
# A counter shows its last full cycle; the one that ran when the time was set is not of that time.
CYCLES_WAITED = 2
COUNT_MARGIN_S = 0.1
N_COMBINERS = 32
HISTOGRAM = "HIST1"
MOST_BINS = 16_384
LONGEST_PS = 10**12
Pause = Callable[[float, threading.Event | None], None]


@dataclass(frozen=True, slots=True)
class Histogram:
    """How often the time from a click of one input to one of another fell into each bin."""

    start_ps: int
    bin_ps: int
    counts: tuple[int, ...]


class Counts:
    """The counting blocks of one controller; `pause` waits while it counts."""

    def __init__(self, line: Id900Line, pause: Pause) -> None:
        self._line = line
        self._pause = pause

    def rates(self, integration_s: float, cancel: threading.Event | None) -> tuple[float, ...]:
        """Return counts per second of every input."""
        blocks = [f"INPU{channel}" for channel in CHANNELS]
        return self._counted(blocks, self.checked_ms(integration_s), cancel)

    def coincidences(
        self,
        pairs: Sequence[tuple[int, int]],
        integration_s: float,
        window_ps: tuple[int, int] | None,
        cancel: threading.Event | None,
    ) -> tuple[float, ...]:
        """Return coincidences per second of pairs of inputs, by a combiner each."""
        self._check_window(window_ps)
        if not 1 <= len(pairs) <= N_COMBINERS:
            raise RangeError(f"'{self._line.name}' counts 1 to {N_COMBINERS} pairs at once")
        for pair in pairs:
            self._check(*pair)
        time_ms = self.checked_ms(integration_s)
        blocks = [f"TSCO{number}" for number in range(1, len(pairs) + 1)]
        for block, (first, second) in zip(blocks, pairs, strict=True):
            self._line.put(f"{block}:FIR:LINK", f"INPU{first}")
            self._line.put(f"{block}:SECO:LINK", f"INPU{second}")
            self._line.put(f"{block}:OPIN", "AND")
            self._line.put(f"{block}:OPOU", "MUTE")
            for end, delay_ps in zip(("BEGI", "END"), window_ps or (), strict=False):
                self._line.put(f"{block}:WIND:{end}:LINK", f"INPU{first}")
                self._line.put(f"{block}:WIND:{end}:DELA", f"{delay_ps}TB")
            if window_ps is not None:
                self._line.put(f"{block}:WIND:ENAB", "ON")
        return self._counted(blocks, time_ms, cancel)

    def histogram(
        self,
        inputs: tuple[int, int],
        start_ps: int,
        bin_ps: int,
        n_bins: int,
        duration: tuple[float, threading.Event | None],
    ) -> Histogram:
        """Fill a histogram of the times between two inputs for a while, and return it."""
        name = self._line.name
        self._check(*inputs)
        number_within(name, "start_ps", start_ps, 0, LONGEST_PS)
        number_within(name, "bin_ps", bin_ps, 1, LONGEST_PS)
        number_within(name, "n_bins", n_bins, 1, MOST_BINS)
        number_within(name, "integration_s", duration[0], *COUNT_RANGE_S)
        for node, argument in (
            ("REF:LINK", f"INPU{inputs[0]}"),
            ("STOP:LINK", f"INPU{inputs[1]}"),
            ("MIN", f"{start_ps}TB"),
            ("BWID", f"{bin_ps}TB"),
            ("BCOU", f"{n_bins}"),
        ):
            self._line.put(f"{HISTOGRAM}:{node}", argument)
        self._line.ask(f"{HISTOGRAM}:FLUS")
        self._pause(*duration)
        counts = bins_of(self._line.ask(f"{HISTOGRAM}:DATA?"))
        if len(counts) != n_bins:
            raise ProtocolError(f"'{name}' sent {len(counts)} bins of {n_bins}")
        return Histogram(start_ps, bin_ps, counts)

    def checked_ms(self, integration_s: float) -> int:
        """Return an integration time in the controller's milliseconds, or raise `RangeError`."""
        number_within(self._line.name, "integration_s", integration_s, *COUNT_RANGE_S)
        return round(integration_s * 1000)

    def _counted(
        self, blocks: Sequence[str], time_ms: int, cancel: threading.Event | None
    ) -> tuple[float, ...]:
        for block in blocks:
            self._line.put(f"{block}:COUN:MODE", "CYCLE")
            self._line.put(f"{block}:COUN:INTE", str(time_ms))
        self._pause(CYCLES_WAITED * time_ms / 1000 + COUNT_MARGIN_S, cancel)
        return tuple(self._line.number(f"{block}:COUN?") * 1000 / time_ms for block in blocks)

    def _check_window(self, window_ps: tuple[int, int] | None) -> None:
        if window_ps is not None and not -LONGEST_PS <= window_ps[0] < window_ps[1] <= LONGEST_PS:
            raise RangeError(
                f"'{self._line.name}' opens a window and closes it later, each within a second of"
                f" the first click, not {window_ps[0]} to {window_ps[1]} ps"
            )

    def _check(self, first: int, second: int) -> None:
        if first not in CHANNELS or second not in CHANNELS or first == second:
            raise RangeError(
                f"'{self._line.name}' compares two of its inputs 1 to 4, not {first} and {second}"
            )


def bins_of(reply: str) -> tuple[int, ...]:
    """Read `[n,n,...]`."""
    words = reply.strip().removeprefix("[").removesuffix("]").split(",")
    if not all(word.strip().isdecimal() for word in words):
        raise ProtocolError(f"{reply[:40]!r} is no histogram", reply[:400].encode())
    return tuple(int(word) for word in words)
