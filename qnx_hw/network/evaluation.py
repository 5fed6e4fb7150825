"""Scores a planner on recorded traffic, with only the past visible at each step."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import numpy as np

from qnx_hw.network import programmes
from qnx_hw.network.planner import Plan, Planner
from qnx_hw.network.topology import Floats

_PAST_STEPS = 4097
"""How much of the past a planner is shown; all of its experts look back less."""


class Score(msgspec.Struct, frozen=True, kw_only=True):
    """Largest utilisation over the clairvoyant optimum of unrestricted flow; 1 is unbeatable."""

    mean: float
    p95: float
    p99: float
    worst: float
    steps: int

    @classmethod
    def of(cls, ratios: Floats) -> Score:
        """Summarise the ratios of all steps."""
        p95, p99 = np.quantile(ratios, (0.95, 0.99))
        return cls(
            mean=float(ratios.mean()),
            p95=float(p95),
            p99=float(p99),
            worst=float(ratios.max()),
            steps=int(ratios.size),
        )


def evaluate(
    planner: Planner,
    matrices: Floats,
    span: range,
    *,
    clock: Callable[[], float] = lambda: 0.0,
    progress: Callable[[int, float], None] | None = None,
) -> tuple[Floats, Floats]:
    """Return the score of each step of `span`, of matrices `(T, N, N)`, and the time it took.

    The plan for step t sees `matrices[:t]` and nothing else. Steps without demand score 1, and
    demands between nodes that no way joins count for nobody.
    `clock` is read before and after each decision; the yardstick's time does not count.
    """
    first, stop = span.start, span.stop
    if not 0 <= first < stop <= len(matrices):
        raise ValueError(f"steps {first} to {stop} of a record of {len(matrices)}")
    ratios, taken = np.ones(stop - first), np.zeros(stop - first)
    plan: Plan | None = None
    is_joined = np.zeros(matrices.shape[1:], dtype=bool)
    is_joined[planner.topology.pairs] = planner.paths.has_path
    for step in range(first, stop):
        started = clock()
        plan = planner.decide(matrices[max(0, step - _PAST_STEPS) : step], plan)
        taken[step - first] = clock() - started
        matrix = np.where(is_joined, matrices[step], 0.0)
        best = programmes.least_utilisation(planner.topology, matrix)
        if best > 0:
            load = plan.loads(planner.topology.demands(matrix)).max()
            ratios[step - first] = load / best
        if progress is not None:
            progress(step - first + 1, float(ratios[step - first]))
    return ratios, taken
