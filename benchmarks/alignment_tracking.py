"""How fast a drift is followed, beside the prototype's printed figures and two tuned searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
from alignment_peers import TUNING_FIBRES
from alignment_runs import VISIBILITY, until

from qnx_hw.commands.bench import Result
from qnx_hw.control.polarization import Actuator, Aligner, ModelBased
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.searches import MakeSearch, Searching, coordinate, spgd
from qnx_hw.control.polarization.usual import usual

SETTINGS, SKIPPED = 115, 15
HELD = 0.01
"""Mean excess error rate below which a drift counts as held."""
# The same prototype's filter and the best of its two peers, at 1000 coincidences, in %.
PRINTED = {0.005: (0.14, 0.63), 0.02: (0.43, 2.5), 0.05: (0.81, 6.9), 0.1: (1.3, 18.0)}
GOALS = {0.02: 0.5, 0.05: 1.0}
FASTER = (0.12, 0.15, 0.2)
SLOWER = (0.001, 0.002, 0.005, 0.01)
SEARCHES: dict[str, tuple[MakeSearch, ...]] = {
    "SPGD": tuple(
        partial(spgd, gain=gain, size=size)
        for gain in (1.0, 2.0, 4.0, 8.0)
        for size in (0.005, 0.01, 0.02)
    ),
    "coordinate descent": tuple(
        partial(coordinate, first=each) for each in (0.005, 0.015, 0.04, 0.12)
    ),
}
MakePolicy = Callable[[], Aligner]


def tracking(fibres: int = 10, first: int = 0) -> Iterator[Result]:
    """Follow drifts of constant speed about an axis that wanders, at 1000 coincidences."""
    actuator, seeds = usual("plates"), range(first, first + fibres)
    ours: dict[float, float] = {}
    for drift_rad, (prototype, _) in PRINTED.items():
        ours[drift_rad] = percent = 100 * _mean(actuator, drift_rad, seeds)
        goal = GOALS.get(drift_rad)
        yield Result(
            name=f"plates, drift {drift_rad} rad per setting: mean excess QBER",
            value=percent,
            unit="%",
            goal=goal,
            met=None if goal is None else percent <= goal,
            peer="prototype (printed)",
            peer_value=prototype,
            ratio=percent / prototype,
        )
    ours |= {each: 100 * _mean(actuator, each, seeds) for each in FASTER}
    held = max((each for each, percent in ours.items() if percent < 100 * HELD), default=0.0)
    for name, choices in SEARCHES.items():
        theirs = dict.fromkeys((*SLOWER, 0.02), 0.0)
        for drift_rad in theirs:
            make = _tuned(actuator, choices, drift_rad)
            theirs[drift_rad] = 100 * _mean(actuator, drift_rad, seeds, make)
        yield Result(
            name="plates, drift 0.02 rad per setting: mean excess QBER",
            value=ours[0.02],
            unit="%",
            peer=f"{name}, tuned",
            peer_value=theirs[0.02],
            ratio=ours[0.02] / theirs[0.02],
        )
        their_held = max((each for each, mean in theirs.items() if mean < 100 * HELD), default=0.0)
        yield Result(
            name="plates: highest drift held with mean excess below 1 %",
            value=held,
            unit="rad/setting",
            peer=f"{name}, tuned",
            peer_value=their_held,
            ratio=held / their_held if their_held else None,
        )


def _tuned(actuator: Actuator, choices: tuple[MakeSearch, ...], drift_rad: float) -> MakePolicy:
    """Return the choice that follows this drift best on another fibre."""
    policies = [_searcher(actuator, search) for search in choices]
    tried = [_followed(actuator, drift_rad, TUNING_FIBRES[0], policy) for policy in policies]
    return policies[int(np.argmin(tried))]


def _searcher(actuator: Actuator, search: MakeSearch) -> MakePolicy:
    return lambda: Searching(actuator, search, target=0.0)


def _mean(
    actuator: Actuator, drift_rad: float, seeds: range, make: MakePolicy | None = None
) -> float:
    return float(np.mean([_followed(actuator, drift_rad, seed, make) for seed in seeds]))


def _followed(
    actuator: Actuator, drift_rad: float, seed: int, make: MakePolicy | None = None
) -> float:
    """Start aligned where the policy cannot find the way by itself; skip the first settings."""
    fibre = Rehearsal(actuator, np.random.default_rng(seed), visibility=VISIBILITY)
    policy = ModelBased(actuator) if make is None else make()
    if make is not None:
        until(fibre, ModelBased(actuator), 5000, 12)
    excess = []
    for number in range(SETTINGS):
        decision = policy.observe(fibre.measure(1000))
        if decision.move_to is not None:
            fibre.move(decision.move_to)
        if number >= SKIPPED:
            excess.append(fibre.excess)
        fibre.drift(drift_rad)
    return float(np.mean(excess))
