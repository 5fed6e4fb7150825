"""How a policy is led to a fibre's best setting, and counted."""

from __future__ import annotations

from qnx_hw.control.polarization import Aligner
from qnx_hw.control.polarization.rehearsal import Rehearsal

WITHIN = 0.005
NEVER = 10_000.0
VISIBILITY = 0.97


def until(fibre: Rehearsal, policy: Aligner, counts: float, longest: int) -> float:
    """Return how many settings were measured before one is within `WITHIN` of the best."""
    least = fibre.least_excess
    for taken in range(longest):
        if fibre.excess - least < WITHIN:
            return taken
        decision = policy.observe(fibre.measure(counts))
        if decision.move_to is not None:
            fibre.move(decision.move_to)
    return NEVER
