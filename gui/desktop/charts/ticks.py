"""Where an axis has its numbers, and how they are written."""

from __future__ import annotations

import math

_STEPS = (1.0, 2.0, 2.5, 5.0, 10.0)
_PREFIXES = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def step(low: float, high: float, most: int) -> float:
    """Return the smallest round distance that cuts a range into `most` pieces or fewer."""
    coarse = (high - low) / max(most, 1)
    power = 10.0 ** math.floor(math.log10(coarse))
    return next(each * power for each in _STEPS if each * power >= coarse * (1 - 1e-9))


def ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return the round numbers in a range, at most about `most`."""
    apart = step(low, high, most)
    first, last = math.ceil(low / apart - 1e-9), math.floor(high / apart + 1e-9)
    return tuple(number * apart for number in range(first, last + 1))


def decades(low: float, high: float) -> tuple[float, ...]:
    """Return the exponents of ten in a range of exponents."""
    return tuple(float(each) for each in range(math.ceil(low - 1e-9), math.floor(high + 1e-9) + 1))


def words(values: tuple[float, ...]) -> tuple[str, ...]:
    """Write the numbers of an axis alike: with as many digits as tell them apart."""
    largest = max(map(abs, values), default=0.0)
    size, prefix = next(((s, p) for s, p in _PREFIXES if largest >= 10 * s), (1.0, ""))
    scaled = [value / size for value in values]
    apart = abs(scaled[1] - scaled[0]) if len(scaled) > 1 else max(abs(scaled[0]), 1.0)
    digits = next((d for d in range(9) if abs(round(apart, d) - apart) < 1e-6 * apart), 9)
    return tuple(f"{value + 0.0:.{digits}f}{prefix}".replace("-", "−") for value in scaled)


def wide(low: float, high: float, pieces: int = 5) -> tuple[float, float]:
    """Widen a range to round numbers, so that it changes seldom."""
    apart = step(low, high, pieces)
    return math.floor(low / apart + 1e-9) * apart, math.ceil(high / apart - 1e-9) * apart
