"""A Gaussian on a flat floor through a delay histogram, by Levenberg's damped least squares."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

FWHM_PER_SIGMA = 2.0 * math.sqrt(2.0 * math.log(2.0))
_ROUNDS = 40
_FEWEST_COUNTS = 20


@dataclass(frozen=True, slots=True)
class Peak:
    """What was fitted; times in the unit of the abscissa, heights in counts per bin."""

    centre: float
    fwhm: float
    height: float
    floor: float

    def curve(self, x: Floats) -> Floats:
        """Return the fitted curve."""
        return _model(x, np.array([self.height, self.centre, self.fwhm, self.floor]))

    def car(self, window: float) -> float | None:
        """Return coincidences over accidentals, (C - A) / A, in a window around the centre."""
        sigma = self.fwhm / FWHM_PER_SIGMA
        part = math.erf(window / (2.0 * math.sqrt(2.0) * sigma))
        area = self.height * sigma * math.sqrt(2.0 * math.pi) * part
        return area / (self.floor * window) if self.floor > 0.0 else None


def fit_peak(x: Floats, counts: Floats) -> Peak | None:
    """Fit a peak to counts at bin centres `x`; None where there is none to be seen."""
    if counts.size < 8 or counts.sum() < _FEWEST_COUNTS:
        return None
    floor = float(np.median(counts))
    top = int(counts.argmax())
    height = float(counts[top]) - floor
    if height < 5.0 * math.sqrt(max(floor, 1.0)):
        return None
    step = float(x[1] - x[0])
    above = np.flatnonzero(counts - floor > height / 2.0)
    width = max(step, float(above[-1] - above[0] + 1) * step)
    found = np.array([height, float(x[top]), width, floor])
    # Each bin counts by its Poisson error; the floor of one keeps empty bins finite.
    weights = 1.0 / np.sqrt(np.maximum(counts, 1.0))
    damping, error = 1e-3, _cost(x, counts, weights, found)
    for _ in range(_ROUNDS):
        slope = _slopes(x, found) * weights[:, None]
        rest = (counts - _model(x, found)) * weights
        normal = slope.T @ slope
        try:
            move = np.linalg.solve(normal + damping * np.diag(np.diag(normal)), slope.T @ rest)
        except np.linalg.LinAlgError:
            return None
        tried = found + move
        better = _cost(x, counts, weights, tried)
        if tried[2] <= 0.0 or not better < error:
            damping *= 10.0
            if damping > 1e12:
                break
            continue
        is_done = error - better < 1e-9 * error
        found, error, damping = tried, better, damping / 10.0
        if is_done:
            break
    height, centre, fwhm, floor = (float(value) for value in found)
    if not x[0] <= centre <= x[-1] or fwhm > float(x[-1] - x[0]):
        return None
    return Peak(centre, fwhm, height, max(floor, 0.0))


def _model(x: Floats, p: Floats) -> Floats:
    sigma = p[2] / FWHM_PER_SIGMA
    return np.asarray(p[0] * np.exp(-0.5 * ((x - p[1]) / sigma) ** 2) + p[3])


def _slopes(x: Floats, p: Floats) -> Floats:
    sigma = p[2] / FWHM_PER_SIGMA
    z = (x - p[1]) / sigma
    bell = np.exp(-0.5 * z**2)
    return np.stack([bell, p[0] * bell * z / sigma, p[0] * bell * z**2 / p[2], np.ones_like(x)], 1)


def _cost(x: Floats, counts: Floats, weights: Floats, p: Floats) -> float:
    return float(np.sum(((counts - _model(x, p)) * weights) ** 2))
