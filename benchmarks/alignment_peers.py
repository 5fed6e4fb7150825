"""Searches without a model, each with what served it best on fibres of their own."""

from __future__ import annotations

from functools import partial

import numpy as np
from alignment_runs import NEVER, VISIBILITY, WITHIN

from qnx_hw.control.polarization import Actuator
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.rotations import Real
from qnx_hw.control.polarization.searches import (
    MakeSearch,
    coordinate,
    line_search,
    nelder_mead,
    spgd,
    spsa,
)
from qnx_hw.control.polarization.solution import overlap

SIZES = (0.015, 0.03, 0.06)
COINCIDENCES = 1000
# What each peer may choose from.
PEERS: dict[str, tuple[MakeSearch, ...]] = {
    "SPGD": tuple(
        partial(spgd, gain=gain, size=size) for gain in (2.0, 4.0, 8.0, 16.0) for size in SIZES
    ),
    "coordinate descent": tuple(partial(coordinate, first=first) for first in (0.04, 0.12, 0.25)),
    "exact line search": (line_search,),
    "Nelder-Mead": tuple(partial(nelder_mead, first=first) for first in (0.08, 0.15, 0.3)),
    "SPSA": tuple(
        partial(spsa, gain=gain, size=size) for gain in (0.01, 0.03, 0.1) for size in SIZES
    ),
}
TUNING_FIBRES = range(20_000, 20_008)
LONGEST_TUNING = 600


def tuned(actuator: Actuator, choices: tuple[MakeSearch, ...]) -> MakeSearch:
    """Return the choice that takes the fewest settings in the mean of other fibres."""
    if len(choices) == 1:
        return choices[0]
    means = [
        np.minimum(searched(actuator, each, TUNING_FIBRES, LONGEST_TUNING), LONGEST_TUNING).mean()
        for each in choices
    ]
    return choices[int(np.argmin(means))]


def searched(actuator: Actuator, search: MakeSearch, seeds: range, longest: int) -> Real:
    """Return how many settings a search takes for each fibre, at 1000 coincidences.

    All fibres are searched in step. One is done where it is measured within `WITHIN` of the best,
    and, too, where the search would rest there: what it measures is beside that place.
    """
    rng = np.random.default_rng(seeds.start)
    fibres = [Rehearsal(actuator, np.random.default_rng(n), visibility=VISIBILITY) for n in seeds]
    least = np.array([each.least_excess for each in fibres])
    channels = np.stack([each.fibre for each in fibres])
    start = actuator.parts(actuator.resting)
    searches = [search(actuator, start, np.random.default_rng(1)) for _ in seeds]
    trials = np.array([next(each) for each in searches])
    taken, open_ = np.full(len(seeds), NEVER), np.arange(len(seeds))
    for number in range(longest):
        turned = actuator.rotations(actuator.settings(trials[open_]).reshape(-1, len(start)))
        seen = overlap(channels[open_, None], turned.reshape(len(open_), 2, 3, 3))
        straight = np.diagonal(seen, axis1=-2, axis2=-1)
        excess = VISIBILITY * (1 - straight.mean(axis=-1)) / 2
        is_there = (excess - least[open_, None] < WITHIN).any(axis=1)
        taken[open_[is_there]] = number
        rates = _error_rates(straight[:, 0], rng)
        for index, rate in zip(open_[~is_there], rates[~is_there], strict=True):
            trials[index] = searches[index].send(float(rate))
        open_ = open_[~is_there]
        if not open_.size:
            break
    return taken


def _error_rates(straight: Real, rng: np.random.Generator) -> Real:
    """Return what 250 rounds on average in Z and in X show of these correlations."""
    rounds = rng.poisson(COINCIDENCES / 4, size=straight.shape)
    wrong = rng.binomial(rounds, np.clip((1 - VISIBILITY * straight) / 2, 0.0, 1.0))
    return np.asarray((wrong / np.maximum(rounds, 1)).mean(axis=1))
