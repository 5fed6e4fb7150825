"""What is there for a planned link, what is doubtful, and what is missing."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from gui.desktop.wizard.plan import LABELS, End, Expectation, LinkPlan, expect
from qnx_hw.api.schema import InstrumentView, LinkView, NodeView

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_GOOD = {"ready", "busy", "streaming"}
LEAST_CAR = 5.0
LONGEST_BLOCK_S = 600.0
"""The default of `max_block_s`: a block ends then, however few bits it has."""


class Grade(StrEnum):
    """How a check ended."""

    GOOD = "good"
    WARNING = "warning"
    MISSING = "missing"


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the check page."""

    grade: Grade
    words: str


def checks(
    plan: LinkPlan, nodes: Mapping[str, NodeView], links: Iterable[LinkView]
) -> tuple[Check, ...]:
    """Return everything there is to say, worst first."""
    found = [*_names(plan, links)]
    found += _end(plan, "Alice", plan.alice, nodes, transmits=plan.is_pulsed)
    found += _end(plan, "Bob", plan.bob, nodes, transmits=False)
    found += _pulses(plan) if plan.is_pulsed else _expected(plan, expect(plan))
    return tuple(sorted(found, key=lambda check: list(Grade).index(check.grade), reverse=True))


def _names(plan: LinkPlan, links: Iterable[LinkView]) -> Iterable[Check]:
    if not _NAME.fullmatch(plan.name):
        yield Check(Grade.MISSING, f"'{plan.name}' is no name: small letters, figures, hyphens")
    elif plan.name in {link.name for link in links}:
        yield Check(Grade.MISSING, f"there is a link '{plan.name}' already")
    else:
        yield Check(Grade.GOOD, f"the name '{plan.name}' is free")
    if plan.alice.node == plan.bob.node:
        yield Check(Grade.MISSING, f"both ends are at '{plan.alice.node}'; a link joins two nodes")


def _end(
    plan: LinkPlan, who: str, end: End, nodes: Mapping[str, NodeView], *, transmits: bool
) -> Iterable[Check]:
    node = nodes.get(end.node)
    if node is None:
        yield Check(Grade.MISSING, f"{who} has no node")
        return
    there = {each.name: each for each in node.instruments}
    kind, name = ("transmitter", end.transmitter) if transmits else ("tagger", end.tagger)
    if not name:
        yield Check(Grade.MISSING, f"{who} has no {kind}; {plan.protocol} needs one there")
    for each in (name, end.detectors, end.polarization):
        if each:
            yield _instrument(who, each, there.get(each))
    wanted = 8 if plan.protocol == "e91" and who == "Bob" else 4
    if not transmits and (len(end.inputs) != wanted or len(set(end.inputs)) != wanted):
        words = f"{who} needs {wanted} different inputs: {', '.join(LABELS[:wanted])}"
        yield Check(Grade.MISSING, words)
    if not end.polarization and not plan.is_pulsed:
        yield Check(Grade.WARNING, f"{who} has no polarization controller")


def _instrument(who: str, name: str, view: InstrumentView | None) -> Check:
    if view is None:
        return Check(Grade.MISSING, f"{who}'s node has no instrument '{name}'")
    if view.state not in _GOOD:
        why = f": {view.error}" if view.error else ""
        return Check(Grade.WARNING, f"{who}'s '{name}' is {view.state}{why}")
    kind = "simulated" if view.is_simulated else "hardware"
    return Check(Grade.GOOD, f"{who}'s '{name}' answers ({view.model or view.driver}, {kind})")


def _pulses(plan: LinkPlan) -> Iterable[Check]:
    means = plan.intensities
    if list(means) != sorted(means, reverse=True) or not 2 <= len(means) <= 3:
        yield Check(Grade.MISSING, "intensities fall, the signal first: two or three of them")
    if len(plan.shares) != len(means) or abs(sum(plan.shares) - 1) > 1e-6:
        yield Check(Grade.MISSING, "shares are as many as the intensities and sum to 1")
    yield Check(Grade.WARNING, "what weak pulses bring is not forecast here")


def _expected(plan: LinkPlan, expected: Expectation) -> Iterable[Check]:
    limit = f"the limit of {plan.qber_limit:.1%}"
    if expected.qber >= plan.qber_limit:
        words = f"expected QBER {expected.qber:.2%} is above {limit}: every block would abort"
        yield Check(Grade.WARNING, words)
    else:
        yield Check(Grade.GOOD, f"expected QBER {expected.qber:.2%} is below {limit}")
    if expected.car < LEAST_CAR:
        yield Check(Grade.WARNING, f"CAR {expected.car:.1f}: narrow the window or pump less")
    if expected.block_s > LONGEST_BLOCK_S:
        words = f"a block takes {expected.block_s:.0f} s, and ends after {LONGEST_BLOCK_S:.0f} s"
        yield Check(Grade.WARNING, f"{words}: make it smaller")
