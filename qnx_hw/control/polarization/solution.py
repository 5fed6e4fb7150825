"""Which setting of an actuator undoes a rotation of the channel."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.rotations import Real

N_STARTS = 5
N_SCATTERED = 1500
MAX_STEPS = 12
GOOD_LOSS = 2e-4
"""Settings that lose less than this in correlation are equally good; the nearest is taken."""
_SEEN = np.array([2, 0])
"""Only Z and X are measured; the rows and columns of these axes count."""


def overlap(channel: Real, actuator: Real) -> Real:
    """Return the correlations (…, 2, 2) in the order Z, X that a perfect source would show.

    `channel` is the rotation that the setting has to equal.
    """
    whole = channel @ np.swapaxes(actuator, -1, -2)
    return np.asarray(whole[..., _SEEN[:, None], _SEEN[None, :]])


def loss(channel: Real, actuator: Real) -> Real:
    """Return 1 − (E_zz + E_xx)/2 for settings that do `actuator` (…, 3, 3); 0 is perfect."""
    seen = overlap(channel, actuator)
    return np.asarray(1 - (seen[..., 0, 0] + seen[..., 1, 1]) / 2)


def solve(
    actuator: Actuator, channel: Real, present: tuple[float, ...], errors: Real | None = None
) -> tuple[float, ...]:
    """Return the setting nearest in time to `present` that brings Z and X back to themselves.

    Levenberg-Marquardt on the rows of `channel` @ C(θ)ᵀ − 1 that are seen, from the present
    setting and from the best of settings scattered over the ranges.
    """
    here = np.array(present, dtype=np.float64)
    errors = np.zeros((len(here), 2)) if errors is None else errors
    scatter, rotations = _scatter(actuator)
    span_s = max(float(actuator.move_time_s(actuator.lows, actuator.highs)), 1e-3)
    rank = loss(channel, rotations) + 0.05 * actuator.move_time_s(here, scatter) / span_s
    starts = np.vstack([here, scatter[np.argsort(rank)[:N_STARTS]]])
    found, losses = _descend(actuator, channel, starts, errors)
    times = actuator.move_time_s(here, found)
    times[losses > losses.min() + GOOD_LOSS] = np.inf
    return tuple(found[int(np.argmin(times))].tolist())


def _descend(actuator: Actuator, channel: Real, starts: Real, errors: Real) -> tuple[Real, Real]:
    """Return where starts (n, axes) lead to, and the losses there."""
    values, n_axes = actuator.within(starts), starts.shape[1]
    damping, is_open = np.full(len(starts), 1e-3), np.ones(len(starts), dtype=bool)
    nudge = 1e-5 * (actuator.highs - actuator.lows)
    where = _residuals(actuator, channel, values, errors)
    for _ in range(MAX_STEPS):
        now, here = values[is_open], where[is_open]
        nudged = (now[:, None] + np.diag(nudge)).reshape(-1, n_axes)
        around = _residuals(actuator, channel, nudged, errors).reshape(len(now), n_axes, -1)
        slope = around - here[:, None]
        squares = slope @ slope.swapaxes(1, 2)
        sizes = np.diagonal(squares, axis1=1, axis2=2) + 1e-14
        damped = squares + (damping[is_open, None] + 1e-12)[..., None] * (
            sizes[:, None] * np.eye(n_axes)
        )
        step = np.linalg.solve(damped, -slope @ here[..., None])[..., 0]
        tried = actuator.within(now + np.clip(step, -0.1 / 1e-5, 0.1 / 1e-5) * nudge)
        there = _residuals(actuator, channel, tried, errors)
        gained = np.sum(here**2, axis=1) - np.sum(there**2, axis=1)
        better, open_ = gained > 0, np.flatnonzero(is_open)
        values[open_[better]], where[open_[better]] = tried[better], there[better]
        damping[open_] *= np.where(better, 1 / 5, 10.0)
        is_open[open_[better & (gained < 1e-9)]] = False
        if not is_open.any():
            break
    return values, np.sum(where**2, axis=1) / 4


def _residuals(actuator: Actuator, channel: Real, values: Real, errors: Real) -> Real:
    turned = actuator.rotations(values, np.broadcast_to(errors, (len(values), *errors.shape)))
    whole = channel @ np.swapaxes(turned, -1, -2)
    return np.asarray((whole - np.eye(3))[:, _SEEN, :].reshape(len(values), -1))


@lru_cache(maxsize=8)
def _scatter(actuator: Actuator) -> tuple[Real, Real]:
    draws = np.random.default_rng(7).random((N_SCATTERED, len(actuator.axes)))
    columns = zip(actuator.elements, draws.T, actuator.axes, strict=True)
    values = np.stack([element.spread(parts, axis) for element, parts, axis in columns], axis=1)
    return values, actuator.rotations(values)
