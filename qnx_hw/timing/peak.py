"""Centre and width of the coincidence peak in a histogram."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.timing.histogram import Bins

_FWHM = 2.354820045


@dataclass(frozen=True, slots=True)
class Peak:
    """A Gaussian on a flat background."""

    centre_ps: float
    fwhm_ps: float
    counts: float
    """Counts in the peak, without background."""
    background: float
    """Counts per bin beside it."""


def fit(counts: npt.ArrayLike, bins: Bins) -> Peak | None:
    """Fit the highest peak; None where nothing stands out of the noise.

    The background is the median bin. Moments in a gate of three widths around the peak, with the
    background taken off, are repeated until they agree: unlike a fit of the Gaussian's shape they
    are right for the triangle that rounding makes, too. A peak narrower than a bin has its width.
    """
    values = np.asarray(counts, dtype=np.float64)
    if values.shape != (bins.count,):
        raise ValueError(f"{values.shape} counts for {bins.count} bins")
    background = float(np.median(values))
    if values.max() - background < 5 * np.sqrt(background + 1):
        return None
    excess = values - background
    places = np.arange(bins.count, dtype=np.float64)
    centre, sigma = float(values.argmax()), 0.5 + _half_width(excess)
    total = 0.0
    for _ in range(30):
        near = np.abs(places - centre) <= 3 * sigma + 0.5
        total = float(excess[near].sum())
        if total <= 0:
            return None
        centre = float((places[near] * excess[near]).sum() / total)
        spread = float(((places[near] - centre) ** 2 * excess[near]).sum() / total)
        # Sheppard: bins of width 1 add 1/12 to the variance of what they hold.
        sigma = np.sqrt(max(spread - 1 / 12, 1 / 12))
    return Peak(
        centre_ps=bins.start_ps + (centre + 0.5) * bins.bin_ps,
        fwhm_ps=_FWHM * float(sigma) * bins.bin_ps,
        counts=total,
        background=background,
    )


def _half_width(excess: npt.NDArray[np.float64]) -> float:
    """Return how many bins around the highest one are above half of it, over two."""
    top = int(excess.argmax())
    high = excess >= excess[top] / 2
    left = top - int(np.argmin(high[: top + 1][::-1])) if not high[: top + 1].all() else 0
    right = top + int(np.argmin(high[top:])) if not high[top:].all() else excess.size
    return (right - left) / 2
