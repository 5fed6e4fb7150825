"""The clock of a pulsed source, recovered from the clicks it causes."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.arrays import Times, as_times, kernel

_FIRST_CLICKS = 200
# Rates are tried at this part of the step that would turn the last click's phase by a full turn.
_FINENESS = 4
_MOST_RATES = 1 << 22
# ln(100 000): chance is taken for pulses once in so many calls.
_CAUTION = 11.5
_PS = 1e12


@dataclass(frozen=True, slots=True)
class PulseTrain:
    """When the pulses arrive, in the receiver's clock: at `origin_ps + phase_ps + k period`."""

    origin_ps: int
    phase_ps: float
    """From 0 up to one period."""
    period_ps: float
    contrast: float
    """Length of the mean phase vector: 1 for sharp pulses, 0 for background."""

    def pulse_numbers(self, times_ps: Times) -> npt.NDArray[np.int64]:
        """Return the number of the nearest pulse for each time, 0 near the origin."""
        since = np.asarray(times_ps, dtype=np.int64) - self.origin_ps
        return np.asarray(np.rint((since - self.phase_ps) / self.period_ps), dtype=np.int64)

    def residuals_ps(self, times_ps: Times) -> npt.NDArray[np.float64]:
        """Return how far each time is from its nearest pulse."""
        since = np.asarray(times_ps, dtype=np.int64) - self.origin_ps - self.phase_ps
        return np.asarray(since - self.pulse_numbers(times_ps) * self.period_ps, dtype=np.float64)


def recover(
    times_ps: Times, frequency_hz: float, *, drift_limit_ppm: float = 50.0
) -> PulseTrain | None:
    """Find the true pulse frequency and phase near a nominal frequency; None where unproven.

    Maximises the sum of the clicks' phase vectors (Rayleigh's test for circular data): over all
    rates within the limit for the first clicks, then for four times as many with a grid four times
    finer around the best, up to all. Fits for tags of up to a few seconds, in which a quartz does
    not wander by more than the pulses' width.
    """
    times = as_times(times_ps)
    if not 1.0 <= frequency_hz <= 1e12 or not 0 < drift_limit_ppm <= 1000:
        raise ValueError(f"cannot search {frequency_hz} Hz ±{drift_limit_ppm} ppm")
    if times.size < _FIRST_CLICKS:
        return None
    nominal_ps = _PS / frequency_hz
    since = times - times[0]
    best, reach, tried, clicks = 0.0, drift_limit_ppm * 1e-6, 0, _FIRST_CLICKS
    while True:
        step = nominal_ps / (_FINENESS * max(1, int(since[clicks - 1])))
        half = min(math.ceil(reach / step), _MOST_RATES)
        tried += 2 * half + 1
        best += step * (int(_best_rate(since[:clicks], nominal_ps, best, step, half)) - half)
        if clicks == times.size:
            break
        reach, clicks = 2 * step, min(4 * clicks, times.size)
    best, real, imaginary = _polish(since, nominal_ps, best, step)
    power = (real**2 + imaginary**2) / times.size
    if power < math.log(tried) + _CAUTION or abs(best) > drift_limit_ppm * 1.01e-6 + step:
        return None
    period = nominal_ps / (1.0 + best)
    phase = math.atan2(imaginary, real) / (2 * math.pi) % 1.0 * period
    return PulseTrain(int(times[0]), phase, period, math.sqrt(power / times.size))


def _polish(
    since: Times, nominal_ps: float, rate: float, step: float
) -> tuple[float, float, float]:
    """Move to the top of the parabola through three neighbours; return its phase vector, too."""
    powers = []
    for k in (-1, 0, 1):
        real, imaginary = _phase_sum(since, nominal_ps, rate + k * step)
        powers.append(real**2 + imaginary**2)
    bend = powers[0] - 2 * powers[1] + powers[2]
    if bend < 0:
        rate += step * min(1.0, max(-1.0, (powers[0] - powers[2]) / (2 * bend)))
    real, imaginary = _phase_sum(since, nominal_ps, rate)
    return rate, real, imaginary


@kernel()
def _best_rate(since: Times, nominal: float, centre: float, step: float, half: int) -> int:
    best, place = -1.0, half
    for k in range(2 * half + 1):
        real, imaginary = _phase_sum(since, nominal, centre + (k - half) * step)
        power = real * real + imaginary * imaginary
        if power > best:
            best, place = power, k
    return place


@kernel()
def _phase_sum(since: Times, nominal: float, rate: float) -> tuple[float, float]:
    real = imaginary = 0.0
    for time in since:
        turns = time / nominal
        # Whole turns first: the small correction keeps its digits.
        phase = 2.0 * np.pi * ((turns - np.floor(turns)) + turns * rate)
        real += np.cos(phase)
        imaginary += np.sin(phase)
    return real, imaginary
