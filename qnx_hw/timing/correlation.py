"""What coincidences say about a link: who with whom, by chance or not, and how efficient."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Channels, Times, as_channels, as_times
from qnx_hw.timing.coincidence import Pairs, match, no_delays

Matrix = npt.NDArray[np.int64]


def matrix(
    pairs: Pairs, channels_a: Channels, channels_b: Channels, *, channels: int = 17
) -> Matrix:
    """Count pairs by Alice's channel (row) and Bob's (column), indexed by channel number."""
    flat = channels_a[pairs.index_a].astype(np.int64) * channels + channels_b[pairs.index_b]
    if flat.size and max(channels_a.max(initial=0), channels_b.max(initial=0)) >= channels:
        raise ValueError(f"there are channels beyond {channels - 1}")
    return np.bincount(flat, minlength=channels * channels).reshape(channels, channels)


@dataclass(frozen=True, slots=True)
class Contrast:
    """Coincidences against what chance alone gives in the same window."""

    coincidences: int
    accidentals: float
    """Mean over the shifted windows."""
    accidentals_error: float

    @property
    def true(self) -> float:
        """Coincidences that are not accidental, at least 0."""
        return max(0.0, self.coincidences - self.accidentals)

    @property
    def car(self) -> float:
        """Coincidence-to-accidental ratio (accidentals included above); inf without any."""
        return self.coincidences / self.accidentals if self.accidentals else float("inf")


def contrast(
    times_a: Times, times_b: Times, window_ps: int, *, shift_ps: int, shifts: int = 8
) -> Contrast:
    """Match as they are, and with Bob shifted both ways by 1, 2, … times `shift_ps`.

    The shift must be longer than the peak and the dead times. Channels play no part.
    """
    if shift_ps <= window_ps or shifts < 1:
        raise ValueError(f"{shifts} shifts of {shift_ps} ps with a window of {window_ps} ps")
    steps = [k * shift_ps for n in range(1, shifts // 2 + shifts % 2 + 1) for k in (n, -n)]
    counts = [_coincidences(times_a, times_b + step, window_ps) for step in steps[:shifts]]
    mean = sum(counts) / shifts
    error = (mean / shifts) ** 0.5
    return Contrast(_coincidences(times_a, times_b, window_ps), mean, error)


def accidentals(clicks_a: int, clicks_b: int, window_ps: int, duration_ps: int) -> float:
    """Return the accidentals to expect of independent streams: N_a N_b w / T, for w far below T."""
    return clicks_a * clicks_b * (window_ps / duration_ps)


def heralding(pairs: int, clicks_a: int, clicks_b: int) -> tuple[float, float]:
    """Return how often a click of Bob finds a partner at Alice, and the other way round.

    With accidentals taken off `pairs` these are the efficiencies of Alice's and of Bob's arm
    (Klyshko, Sov. J. Quantum Electron. 10, 1112 (1980)).
    """
    return pairs / max(clicks_b, 1), pairs / max(clicks_a, 1)


def threefold(
    herald: Times, times_1: Times, times_2: Times, window_ps: int
) -> tuple[int, int, int, int]:
    """Count heralds, heralds with 1, with 2, and with both, for g2 behind a beam splitter."""
    herald = as_times(herald)
    with_1 = _partners(herald, times_1, window_ps)
    with_2 = _partners(herald, times_2, window_ps)
    return herald.size, int(with_1.sum()), int(with_2.sum()), int((with_1 & with_2).sum())


def heralded_g2(heralds: int, with_1: int, with_2: int, with_both: int) -> float:
    """Return N_h N_12h / (N_1h N_2h); nan where nothing was counted (Grangier et al. 1986)."""
    return heralds * with_both / (with_1 * with_2) if with_1 and with_2 else float("nan")


def _coincidences(times_a: Times, times_b: Times, window_ps: int) -> int:
    return len(_pairs(times_a, times_b, window_ps))


def _partners(herald: Times, times: Times, window_ps: int) -> npt.NDArray[np.bool_]:
    has_partner = np.zeros(herald.size, np.bool_)
    has_partner[_pairs(herald, times, window_ps).index_a] = True
    return has_partner


def _pairs(times_a: Times, times_b: Times, window_ps: int) -> Pairs:
    times_a, times_b = as_times(times_a), as_times(times_b)
    blank_a = as_channels(np.zeros(times_a.size, np.uint8), times_a)
    blank_b = as_channels(np.zeros(times_b.size, np.uint8), times_b)
    return match(times_a, blank_a, times_b, blank_b, no_delays(1), window_ps)
