"""What the controller does with what it knows: decides, weighs the change, and says why.

A new plan is worth pushing when the old one has become impossible, when the objective changed, or
when it is better by more than a change costs. All else would only stir up traffic.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from qnx_hw.network import objectives
from qnx_hw.network.objectives import Objective
from qnx_hw.network.paths import PathSet
from qnx_hw.network.planner import Plan, Planner, utilisation
from qnx_hw.network.topology import Floats, Topology

WORTH = 0.02
"""Least part by which a plan must be better to replace the one in force."""
_TOLD_SHARE = 0.01
_LIMIT_MOVED = 0.05
"""Part by which a limit of bandwidth must have moved to be told anew."""
_CAPACITY_MOVED = 0.1
_LEAST_PART = 1e-3
"""Part of a link's capacity that planning never goes below: no key is a small link, not none."""
_MUCH = 0.1
"""Part of the demand that must go another way for a plan of least delay to be pushed."""


@dataclass(frozen=True, eq=False)
class Situation:
    """What a decision is made from."""

    matrices: Floats
    """`(T, N, N)` in Mbit/s, the newest last; NaN where nothing is known."""
    expected: Floats
    """Demand `(P,)` that is to be planned for, in Mbit/s."""
    closed: frozenset[int] = frozenset()
    """Links that are down, shut by an operator, or short of key."""
    delays_s: Floats | None = None
    """`(E,)`; NaN where unknown."""
    capacities: Floats | None = None
    """`(E,)` in Mbit/s, where key leaves less than the links' own; at most those."""


@dataclass(frozen=True, eq=False)
class Decision:
    """Splits in force from now on, and what is expected of them."""

    paths: PathSet
    splits: Floats
    rates: Floats
    """What each pair `(P,)` may send in Mbit/s; infinite where it is not limited."""
    expected: Floats
    closed: frozenset[int]
    objective: Objective
    experts: tuple[str, ...]
    shares: tuple[float, ...]
    is_new: bool
    """Whether it differs from the decision before and is to be pushed."""
    reason: str

    @cached_property
    def loads(self) -> Floats:
        """Return the utilisation `(E,)` that is expected."""
        return utilisation(self.paths, self.splits, np.minimum(self.expected, self.rates))

    def ways(self, pair: int) -> list[tuple[tuple[str, ...], float]]:
        """Return the paths of a pair as node names, with their shares, the largest first."""
        names = self.paths.topology.names
        own = range(int(self.paths.first[pair]), int(self.paths.first[pair + 1]))
        ways = [
            (tuple(names[node] for node in self.paths.nodes_of(path)), float(self.splits[path]))
            for path in own
            if self.splits[path] >= _TOLD_SHARE
        ]
        total = sum(share for _, share in ways)
        return sorted(((way, share / total) for way, share in ways), key=lambda each: -each[1])

    def explain(self, pair: int) -> str:
        """Say in words why a pair's traffic goes where it goes."""
        topology = self.paths.topology
        ends = tuple(topology.names[int(side[pair])] for side in topology.pairs)
        if not self.paths.has_path[pair]:
            return f"nothing joins {ends[0]} to {ends[1]} now: every way passes a closed link"
        ways = self.ways(pair)
        told = " and ".join(f"{'-'.join(way)} ({share:.0%})" for way, share in ways)
        demand = float(min(self.expected[pair], self.rates[pair]))
        if demand <= 0.0:
            return f"nothing is expected to be sent; what comes goes over {told}"
        loads = self.loads
        text = f"{_rate(demand)} over {told}"
        short, alone, link = self._alone(pair)
        fullest = float(loads.max()) if loads.size else 0.0
        if ways[0][1] > 1 - _TOLD_SHARE and ways[0][0] == short:
            text += ": the shortest way has room"
        elif alone > max(fullest, 1e-9) * (1 + 1e-3):
            text += f": on the shortest way alone {link} would be {alone:.0%} full"
        else:
            text += (
                f": the shortest way alone would do, with {link} {alone:.0%} full, but leave less "
                "room for more than is expected"
            )
        if self.rates[pair] < self.expected[pair] * (1 - 1e-6):
            text += f"; limited from {_rate(self.expected[pair])} because links are full"
        return text

    def _alone(self, pair: int) -> tuple[tuple[str, ...], float, str]:
        """Return the shortest way, and the load of its fullest link if the pair went there."""
        topology = self.paths.topology
        first = int(self.paths.first[pair])
        own = range(first, int(self.paths.first[pair + 1]))
        shortest = min(own, key=lambda path: (len(self.paths.links_of(path)), path))
        splits = self.splits.copy()
        splits[own] = 0.0
        splits[shortest] = 1.0
        loads = utilisation(self.paths, splits, np.minimum(self.expected, self.rates))
        links = self.paths.links_of(shortest)
        link = int(links[np.argmax(loads[links])])
        ends = (topology.names[topology.sources[link]], topology.names[topology.targets[link]])
        way = tuple(topology.names[node] for node in self.paths.nodes_of(shortest))
        return way, float(loads[link]), "-".join(ends)


class Policy:
    """Decides step by step for one topology; remembers the plan in force."""

    def __init__(
        self,
        topology: Topology,
        *,
        objective: Objective = Objective.UTILISATION,
        worth: float = WORTH,
        weights: Floats | None = None,
    ) -> None:
        self.topology = topology
        self._links = topology.capacities
        self.objective = objective
        self._worth = worth
        self._weights = np.ones(topology.pairs[0].size) if weights is None else weights
        self._whole = Planner(topology)
        self._planner = self._whole
        self._plan: Plan | None = None
        self._closed: frozenset[int] = frozenset()
        self.current: Decision | None = None

    def decide(self, situation: Situation) -> Decision:
        """Return the decision for the next interval and keep it as the one in force."""
        self._take_capacities(situation)
        planner, plan = self._around(situation)
        self._plan = planner.decide(situation.matrices, plan)
        self._planner, self._closed = planner, situation.closed
        proposed = self._propose(situation, self._plan, self.objective)
        self.current = self._weighed(proposed)
        return self.current

    def suppose(
        self, situation: Situation, objective: Objective | None = None, factor: float = 1.0
    ) -> Decision:
        """Return what would be decided if things were so; nothing is kept."""
        planner, plan = self._around(situation)
        supposed = Situation(
            situation.matrices * factor,
            situation.expected * factor,
            situation.closed,
            situation.delays_s,
        )
        plan = planner.decide(supposed.matrices, plan)
        return self._propose(supposed, plan, objective or self.objective)

    def _take_capacities(self, situation: Situation) -> None:
        """Plan for other capacities from now on, where key moved them by more than a little."""
        given = self._links if situation.capacities is None else situation.capacities
        wanted = np.clip(given, _LEAST_PART * self._links, self._links)
        if np.allclose(wanted, self.topology.capacities, rtol=_CAPACITY_MOVED):
            return
        self.topology = replace(self.topology, capacities=wanted)
        whole = self._whole.over(self.topology)
        around = whole if self._planner is self._whole else self._planner.over(self.topology)
        if self._plan is not None:
            # Where a link became narrow, its paths are left at once; the search does the rest.
            narrower = around.paths.wide_first - self._planner.paths.wide_first
            logits = tuple(own + narrower for own in self._plan.logits)
            self._plan = replace(self._plan, paths=around.paths, logits=logits)
        if self.current is not None and self.current.splits.size == len(around.paths):
            self.current = replace(self.current, paths=around.paths)
        self._whole, self._planner = whole, around

    def _around(self, situation: Situation) -> tuple[Planner, Plan | None]:
        """Return the planner for what is closed, and the plan to begin from."""
        if situation.closed == self._closed and self._plan is not None:
            return self._planner, self._plan
        if not situation.closed:
            return self._whole, None
        plan = self._plan
        if plan is None or plan.paths is not self._whole.paths:
            plan = self._whole.decide(situation.matrices)
        return self._whole.avoiding(situation.closed, plan)

    def _propose(self, situation: Situation, plan: Plan, objective: Objective) -> Decision:
        paths, expected = plan.paths, situation.expected
        rates, splits = np.full(expected.size, np.inf), plan.splits
        if objective is Objective.FAIR:
            got = objectives.max_min_fair(paths, expected)
            splits, rates = got.splits, _limits(got.rates, expected)
        elif objective is Objective.THROUGHPUT:
            got = objectives.weighted_throughput(paths, expected, self._weights)
            splits, rates = got.splits, _limits(got.rates, expected)
        elif objective is Objective.DELAY:
            splits = objectives.least_delay(paths, expected, self._delays(situation)).splits
        return Decision(
            paths=paths,
            splits=splits,
            rates=rates,
            expected=expected,
            closed=situation.closed,
            objective=objective,
            experts=plan.experts,
            shares=plan.shares,
            is_new=True,
            reason="",
        )

    def _delays(self, situation: Situation) -> Floats:
        """Return the links' delays; the median where unknown."""
        if situation.delays_s is None or not np.isfinite(situation.delays_s).any():
            return np.full(self.topology.link_count, 1e-3)
        known = situation.delays_s[np.isfinite(situation.delays_s)]
        return np.where(np.isfinite(situation.delays_s), situation.delays_s, np.median(known))

    def _weighed(self, proposed: Decision) -> Decision:
        """Return the proposal, or the decision in force where the change is not worth it."""
        before = self.current
        reason = "the first plan" if before is None else self._worth_it(before, proposed)
        if before is None or reason:
            return replace(proposed, is_new=True, reason=reason)
        return replace(
            before,
            expected=proposed.expected,
            experts=proposed.experts,
            shares=proposed.shares,
            is_new=False,
            reason=f"kept: a new plan would gain less than {self._worth:.0%}",
        )

    def _worth_it(self, before: Decision, proposed: Decision) -> str:
        """Return why a proposal replaces the decision in force; empty where it does not."""
        if proposed.closed != before.closed:
            return self._what_changed(before.closed, proposed.closed)
        if proposed.objective is not before.objective:
            return f"the objective is now {proposed.objective}"
        stayed = replace(before, expected=proposed.expected).loads.max(initial=0.0)
        moved = proposed.loads.max(initial=0.0)
        if moved < stayed * (1 - self._worth):
            return f"lowers the fullest link from {stayed:.1%} to {moved:.1%}"
        limits = np.minimum(before.rates, proposed.expected)
        if not np.allclose(
            limits, np.minimum(proposed.rates, proposed.expected), rtol=_LIMIT_MOVED
        ):
            return "demand moved the limits of bandwidth"
        if proposed.objective is Objective.DELAY and self._reroutes_much(before, proposed):
            return "shortens the time on the way"
        return ""

    def _reroutes_much(self, before: Decision, proposed: Decision) -> bool:
        if before.paths is not proposed.paths:
            return True
        moved = np.abs(before.splits - proposed.splits) * proposed.expected[before.paths.pair_of]
        return float(moved.sum()) > _MUCH * float(proposed.expected.sum())

    def _what_changed(self, before: frozenset[int], now: frozenset[int]) -> str:
        parts = []
        for word, links in (("closed", now - before), ("open again", before - now)):
            if links:
                names = sorted(
                    f"{self.topology.names[self.topology.sources[link]]}-"
                    f"{self.topology.names[self.topology.targets[link]]}"
                    for link in links
                )
                parts.append(f"{', '.join(names)} {word}")
        return "; ".join(parts)


def _rate(mbps: float) -> str:
    """Return a rate in the unit in which people say it."""
    scales = (("Gbit/s", 1e3), ("Mbit/s", 1.0), ("kbit/s", 1e-3), ("bit/s", 1e-6))
    unit, size = next((each for each in scales if mbps >= each[1]), scales[-1])
    value = mbps / size
    return f"{value:,.0f} {unit}" if value >= 100 else f"{value:.3g} {unit}"


def _limits(rates: Floats, demands: Floats) -> Floats:
    """Limit only who gets less than it asks for."""
    return np.where(rates < demands * (1 - 1e-6), rates, np.inf)
