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
    starts = [here, *scatter[np.argsort(rank)[:N_STARTS]]]
    found = [_descend(actuator, channel, start, errors) for start in starts]
    losses = np.array([each[1] for each in found])
    times = np.array([float(actuator.move_time_s(here, each[0])) for each in found])
    times[losses > losses.min() + GOOD_LOSS] = np.inf
    return tuple(found[int(np.argmin(times))][0].tolist())


def _descend(actuator: Actuator, channel: Real, start: Real, errors: Real) -> tuple[Real, float]:
    values, damping = actuator.within(start), 1e-3
    nudge = 1e-5 * (actuator.highs - actuator.lows)
    where = _residuals(actuator, channel, values[None], errors)[0]
    for _ in range(MAX_STEPS):
        around = _residuals(actuator, channel, values + np.diag(nudge), errors)
        slope = (around - where).T
        step = np.linalg.solve(
            slope.T @ slope + (damping + 1e-12) * np.diag(np.sum(slope * slope, axis=0) + 1e-14),
            -slope.T @ where,
        )
        tried = actuator.within(values + np.clip(step, -0.1 / 1e-5, 0.1 / 1e-5) * nudge)
        there = _residuals(actuator, channel, tried[None], errors)[0]
        gained = float(where @ where - there @ there)
        if gained > 0:
            values, where, damping = tried, there, damping / 5
            if gained < 1e-9:
                break
        else:
            damping *= 10
    return values, float(where @ where) / 4


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
