"""How a policy is led to a fibre's best setting, and counted."""

from __future__ import annotations

from qnx_hw.control.polarization import Aligner
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.searches import Searching

WITHIN = 0.005
NEVER = 10_000.0
VISIBILITY = 0.97


def until(fibre: Rehearsal, policy: Aligner, counts: float, longest: int) -> float:
    """Return how many settings were measured before one is within `WITHIN` of the best.

    A search is done, too, when the place is where it would rest; what it measures is beside it.
    """
    least, judged = fibre.least_excess, None
    for taken in range(longest):
        if fibre.excess - least < WITHIN:
            return taken
        if isinstance(policy, Searching) and policy.rests not in (None, judged):
            judged = policy.rests
            if judged is not None and fibre.excess_at(judged) - least < WITHIN:
                return taken
        decision = policy.observe(fibre.measure(counts))
        if decision.move_to is not None:
            fibre.move(decision.move_to)
    return NEVER
