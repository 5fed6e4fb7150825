"""Which setting to measure next: the one after which the aligned setting will be known best.

Near alignment the counts tell little of two of the three angles, so a search that always goes to
the likeliest setting learns slowly. Here a pool of settings around it and all over the ranges is
judged by its Fisher information: for each, what error rate the channel's and the actuator's
uncertainty will still cost at the goal, and how well it tells the candidates apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.estimate import Candidate, Standing, foresee
from qnx_hw.control.polarization.rotations import Real, angle_between

N_NEAR, N_FAR = 160, 60
NARROWEST_RAD, WIDEST_RAD = 0.1, 1.0
"""How far each axis is tried to turn the light around the goal."""
WIDEST_STEP = 0.2
"""The same where an axis hardly turns it, in parts of its range."""
UNLIKELY = 0.01
MISTAKE = 0.5
"""The error rate that a wrong candidate costs."""
SLOWNESS = 0.0002
"""The error rate at which the slowest move is valued, to choose between equals."""
WEIGHTS = np.array([1.0, 2.0, 1.0])


def probability_within(stands: Standing, excess: float) -> float:
    """Return how likely a setting at the mean of a belief is within this error rate of the best."""
    root = np.sqrt(WEIGHTS * stands.visibility / 8)
    sizes = np.linalg.eigvalsh(root[:, None] * stands.covariance * root)
    return float((_chances() @ np.maximum(sizes, 0.0) < excess).mean())


def most_telling(
    actuator: Actuator,
    candidates: Sequence[Candidate],
    goal: tuple[float, ...],
    coincidences: float,
) -> tuple[float, ...]:
    """Return the setting that tells most about how to reach `goal` of the first candidate."""
    pool = _pool(actuator, goal)
    best = candidates[0]
    left, shares = foresee(actuator, best.belief, pool, coincidences, goal)
    cost = left + SLOWNESS * _slowness(actuator, goal, pool)
    for other in candidates[1:]:
        if other.probability < UNLIKELY:
            continue
        _, theirs = foresee(actuator, other.belief, pool, coincidences, goal)
        middle = (shares + theirs) / 2
        apart = coincidences / 4 * (shares - theirs) ** 2 / (middle * (1 - middle))
        # Bhattacharyya's bound on taking one binomial for the other.
        confused = np.sqrt(best.probability * other.probability) * np.exp(-apart.sum(axis=1) / 8)
        cost = cost + MISTAKE * confused
    return tuple(pool[int(np.argmin(cost))].tolist())


def _slowness(actuator: Actuator, goal: tuple[float, ...], pool: Real) -> Real:
    longest_s = float(actuator.move_time_s(actuator.lows, actuator.highs))
    return actuator.move_time_s(np.array(goal), pool) / max(longest_s, 1e-3)


def _pool(actuator: Actuator, goal: tuple[float, ...]) -> Real:
    near, far = _draws(len(goal))
    span = actuator.highs - actuator.lows
    here = np.array(goal)
    around = actuator.rotations(here + np.vstack([np.zeros(len(goal)), np.diag(1e-3 * span)]))
    slopes = angle_between(around[1:], around[0]) / (1e-3 * span)
    near = near * np.minimum(1 / np.maximum(slopes, 1e-9), WIDEST_STEP * span)
    columns = zip(actuator.elements, far.T, actuator.axes, strict=True)
    scattered = np.stack([each.spread(parts, axis) for each, parts, axis in columns], axis=1)
    return np.vstack([actuator.within(here + near), scattered])


@lru_cache(maxsize=4)
def _draws(n_axes: int) -> tuple[Real, Real]:
    rng = np.random.default_rng(23)
    reach = np.geomspace(NARROWEST_RAD, WIDEST_RAD, N_NEAR)[:, None]
    return reach * rng.standard_normal((N_NEAR, n_axes)), rng.random((N_FAR, n_axes))


@lru_cache(maxsize=1)
def _chances() -> Real:
    return np.random.default_rng(29).standard_normal((2000, 3)) ** 2
