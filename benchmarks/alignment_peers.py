"""Searches without a model, each with what served it best on fibres of their own."""

from __future__ import annotations

from functools import partial

import numpy as np
from alignment_runs import VISIBILITY, until

from qnx_hw.control.polarization import Actuator
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.rotations import Real
from qnx_hw.control.polarization.searches import (
    MakeSearch,
    Searching,
    coordinate,
    line_search,
    nelder_mead,
    spgd,
    spsa,
)

SIZES = (0.015, 0.03, 0.06)
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
    """Return how many settings a search takes for each fibre, at 1000 coincidences."""
    taken = []
    for seed in seeds:
        fibre = Rehearsal(actuator, np.random.default_rng(seed), visibility=VISIBILITY)
        taken.append(until(fibre, Searching(actuator, search, target=0.0), 1000, longest))
    return np.array(taken)
