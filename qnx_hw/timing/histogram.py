"""How often each time difference between two streams occurs, and g2."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Times, UnsortedTimes, as_times, kernel

Counts = npt.NDArray[np.int64]
MAX_BINS = 1 << 24
# Notes that stay in the processor's first cache.
_NOTED = 1 << 11


@dataclass(frozen=True, slots=True)
class Bins:
    """Equal bins of time difference: bin k holds `start_ps + k * bin_ps` up to the next."""

    start_ps: int
    bin_ps: int
    count: int

    def __post_init__(self) -> None:
        if self.bin_ps < 1 or not 1 <= self.count <= MAX_BINS:
            raise ValueError(f"{self.count} bins of {self.bin_ps} ps cannot be")

    @classmethod
    def around(cls, centre_ps: int, half_width_ps: int, bin_ps: int) -> "Bins":
        """Return an odd number of bins, the middle one centred, that reach `half_width_ps`."""
        side = -(-half_width_ps // bin_ps)
        return cls(centre_ps - side * bin_ps - bin_ps // 2, bin_ps, 2 * side + 1)

    @property
    def end_ps(self) -> int:
        """Where the last bin ends."""
        return self.start_ps + self.bin_ps * self.count

    def centres_ps(self) -> npt.NDArray[np.float64]:
        """Return the middle of each bin."""
        places = np.arange(self.count, dtype=np.float64) + 0.5
        return np.asarray(self.start_ps + self.bin_ps * places, dtype=np.float64)


def delays(times_a: Times, times_b: Times, *, start_ps: int, bin_ps: int, n_bins: int) -> Counts:
    """Count `t_b - t_a` of all pairs of clicks (each click counts with every partner in reach).

    Bin k holds differences from `start_ps + k * bin_ps` up to, not including, the next bin's.
    """
    bins = Bins(start_ps, bin_ps, n_bins)
    counts = np.zeros(bins.count, np.int64)
    _count(as_times(times_a), as_times(times_b), bins.start_ps, bins.bin_ps, counts)
    return counts


def g2(
    counts: Counts, *, bin_ps: int, clicks_a: int, clicks_b: int, duration_ps: int
) -> npt.NDArray[np.float64]:
    """Normalise a histogram so that independent streams give 1: n T / (bin N_a N_b)."""
    chance = float(bin_ps) * max(clicks_a, 1) * max(clicks_b, 1) / duration_ps
    return np.asarray(counts / chance, dtype=np.float64)


class DelayHistogram:
    """The histogram of two streams that arrive in blocks; cutting them never changes it."""

    def __init__(self, bins: Bins) -> None:
        self.bins = bins
        self.counts: Counts = np.zeros(bins.count, np.int64)
        self._a: Times = np.empty(0, np.int64)
        self._b: Times = np.empty(0, np.int64)

    def clear(self) -> None:
        """Start counting anew; tags that wait for partners stay."""
        self.counts = np.zeros(self.bins.count, np.int64)

    def feed(self, times_a: Times, times_b: Times) -> None:
        """Add the next tags of both sides; they need not reach equally far.

        A tag is kept while a later one of the other side may come within reach: the caller must
        feed both sides, or what is kept grows.
        """
        new_a, new_b = as_times(times_a), as_times(times_b)
        a, b = _joined(self._a, new_a), _joined(self._b, new_b)
        start, width = self.bins.start_ps, self.bins.bin_ps
        # Old with old was counted before.
        _count(a, new_b, start, width, self.counts)
        _count(new_a, self._b, start, width, self.counts)
        if b.size:
            self._a = a[np.searchsorted(a, b[-1] - self.bins.end_ps, side="right") :]
        else:
            self._a = a
        self._b = b[np.searchsorted(b, a[-1] + start) :] if a.size else b


def _joined(old: Times, new: Times) -> Times:
    if old.size and new.size and new[0] < old[-1]:
        raise UnsortedTimes(f"a block begins at {new[0]} ps, before the last tag at {old[-1]} ps")
    return np.concatenate((old, new))


@kernel()
def _count(times_a: Times, times_b: Times, start: int, width: int, counts: Counts) -> None:
    """Add every pair's difference to its bin.

    Whether a click has a partner is what a processor cannot foresee. So a walk without branches
    first notes who has one, then the few noted ones are counted. Unsigned places save the checks
    for places counted from the end.
    """
    end = width * counts.size
    size_a, size_b = np.uint64(times_a.size), np.uint64(times_b.size)
    noted_a, noted_b = np.empty(_NOTED, np.uint64), np.empty(_NOTED, np.uint64)
    i = j = np.uint64(0)
    one = np.uint64(1)
    while i < size_a and j < size_b:
        n = np.uint64(0)
        while i < size_a and j < size_b and n < np.uint64(_NOTED):
            since = times_b[j] - times_a[i] - start
            is_before = since < 0
            noted_a[n], noted_b[n] = i, j
            n += np.uint64((not is_before) & (since < end))
            i += np.uint64(not is_before)
            j += np.uint64(is_before)
        for note in range(n):
            first = times_a[noted_a[note]] + start
            k = noted_b[note]
            while k < size_b and times_b[k] - first < end:
                counts[np.uint64(times_b[k] - first) // np.uint64(width)] += 1
                k += one
