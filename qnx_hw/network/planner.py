"""Decides how each pair's traffic is split over its paths, from the past alone.

Better forecasts hardly help; deciding under their uncertainty does. Each expert lays scenarios of
the next interval around its own forecast and finds splits that are good for all of them. The
experts' splits are mixed by how well each did lately, so that no day is much worse than the best.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from qnx_hw.network import splits as first_order
from qnx_hw.network.paths import PathSet, candidates
from qnx_hw.network.topology import Floats, Topology

_FLOOR = 0.02
"""Share of the mean demand below which no scenario falls."""
_FORECAST_WEIGHT = 2.0
"""Weight of the forecast itself; each scenario around it weighs 1."""
_WOKEN_WEIGHT = 0.1
"""Weight of the case in which those who were silent begin to send: hardly felt by all others."""
_NO_SPLIT = 1e-6
"""What a search cannot tell from none. On a link that carries next to nothing it could be much."""
_SILENT = 0.01
"""A pair is silent that stayed below this part of what it may begin with."""


@dataclass(frozen=True, slots=True)
class Expert:
    """A way to lay scenarios: exponentially weighted mean plus recent residuals, stretched."""

    name: str
    memory: float
    """Weight of the newest matrix in the mean, 0 to 1."""
    horizon: int
    """How many residuals back."""
    stretch: float
    """Factor on the residuals: how much worse than lately it may get."""
    power: float = 0.0
    """By how much the more the worst cases count; see `splits`."""


RECENT = Expert("recent", memory=1.0, horizon=64, stretch=1.7)
WIDE = Expert("wide", memory=0.4, horizon=256, stretch=1.9)
ROBUST = Expert("robust", memory=0.1, horizon=512, stretch=2.1)
SEEN = Expert("seen", memory=0.0, horizon=4096, stretch=1.0, power=6.0)
"""What comes is like what came, in no order. Who sends in bursts cannot be foreseen better."""
_HEARD, _TURNS = 0.01, 8
"""An expert with less of a say is asked only every so many intervals; its splits stay."""
_SEEN_TURNS = 4
"""One without memory is asked so often at most: an interval adds little to all that it saw."""
_ROUNDS, _ROUNDS_WORK = (60, 100), 600_000
"""Rounds of a search, and rounds times slots (a pair and a link that it may use)."""
_MOST_NUMBERS, _MOST_SEEN = 20_000_000, 400_000
"""Scenarios times pairs that a search may handle, and that are kept of the past for one without
memory; a longer horizon is cut."""


@dataclass(frozen=True, eq=False)
class Plan:
    """What the nodes shall do until the next plan.

    `splits` is float64 `(paths,)`, not negative, and sums to 1 over the paths of each pair.
    """

    paths: PathSet
    splits: Floats
    revision: int
    experts: tuple[str, ...]
    shares: tuple[float, ...]
    """How much of the plan is each expert's."""
    logits: tuple[Floats, ...]
    losses: tuple[float, ...]
    """Discounted excess of each expert over the best one."""

    def loads(self, demands: Floats) -> Floats:
        """Return the utilisation of every link `(E,)` for demands of all pairs `(P,)`."""
        return utilisation(self.paths, self.splits, demands)


class Planner:
    """Plans for one topology. It holds settings only: the past comes as arguments."""

    def __init__(
        self,
        topology: Topology,
        *,
        paths: PathSet | None = None,
        experts: tuple[Expert, ...] = (RECENT, WIDE, ROBUST, SEEN),
        iterations: int | None = None,
        learning_rate: float = 4.0,
        discount: float = 0.98,
    ) -> None:
        self.topology = topology
        self.paths = candidates(topology) if paths is None else paths
        self._experts = experts
        self._iterations = _rounds(self.paths) if iterations is None else iterations
        self._learning_rate = learning_rate
        self._discount = discount

    def decide(self, history: Floats, previous: Plan | None = None) -> Plan:
        """Return the plan for the interval after `history` `(T, N, N)` of traffic matrices.

        `previous` is the plan made one interval ago; with it the search starts warm and the
        experts are judged by the newest matrix. What is missing in the past (NaN, negative,
        infinite) counts as unchanged.
        """
        past = self._clean(history)
        revision = 1 if previous is None else previous.revision + 1
        losses = self._judge(past, previous)
        weights = np.exp(-self._learning_rate * (np.asarray(losses) - min(losses)))
        weights /= weights.sum()
        waking = woken(past)
        logits: tuple[Floats, ...] = ()
        for number, weight in enumerate(weights):
            turns = _SEEN_TURNS if not self._experts[number].memory else 1
            turns = _TURNS if weight < _HEARD else turns
            if previous is None or (revision + number) % turns == 0:
                logits += (self._ask(number, past, waking, previous, logits),)
            else:
                logits += (previous.logits[number],)
        mixed = np.zeros(len(self.paths))
        for weight, own in zip(weights, logits, strict=True):
            mixed += weight * first_order.shares(self.paths, own)
        mixed[mixed < _NO_SPLIT] = 0.0
        mixed /= np.bincount(self.paths.pair_of, mixed, self.paths.first.size - 1)[
            self.paths.pair_of
        ]
        return Plan(
            paths=self.paths,
            splits=mixed,
            revision=revision,
            experts=tuple(expert.name for expert in self._experts),
            shares=tuple(weights.tolist()),
            logits=logits,
            losses=losses,
        )

    def avoiding(self, links: frozenset[int], plan: Plan) -> tuple[Planner, Plan]:
        """Return a planner without `links`, at once, and what is left of a plan of ours.

        Candidates that avoid them are kept; only where a pair has lost all are new ones sought.
        """
        paths, kept = self.paths.avoiding(links)
        logits = tuple(own[kept] for own in plan.logits)
        if not np.array_equal(paths.has_path, self.paths.has_path):
            paths = candidates(self.topology, closed=links)
            logits = (paths.wide_first,) * len(plan.logits)
        planner = Planner(
            self.topology,
            paths=paths,
            experts=self._experts,
            iterations=self._iterations,
            learning_rate=self._learning_rate,
            discount=self._discount,
        )
        splits = np.zeros(len(paths))
        for share, own in zip(plan.shares, logits, strict=True):
            splits += share * first_order.shares(paths, own)
        return planner, replace(plan, paths=paths, splits=splits, logits=logits)

    def over(self, topology: Topology) -> Planner:
        """Return this planner for the same links with other capacities; paths stay."""
        return Planner(
            topology,
            paths=replace(self.paths, topology=topology),
            experts=self._experts,
            iterations=self._iterations,
            learning_rate=self._learning_rate,
            discount=self._discount,
        )

    def _clean(self, history: Floats) -> Floats:
        """Return the past of all pairs `(T, P)`, its largest value 1; at least one row.

        What is decided does not depend on the unit, so that of demands may be any.
        """
        deepest = max(self._depth(expert) for expert in self._experts) + 1
        known = np.asarray(history)
        if known.ndim != 3:
            raise ValueError(f"a history of the shape {known.shape} is not (T, N, N)")
        traffic = known[-deepest:].astype(np.float64)
        past = self.topology.demands(traffic)
        if not len(past):
            return np.ones((1, self.topology.pairs[0].size))
        rows, columns = self.topology.pairs
        raw = traffic[:, rows, columns]
        bad = ~(np.isfinite(raw) & (raw >= 0))
        for step in np.flatnonzero(bad.any(axis=1)):
            if step:
                past[step, bad[step]] = past[step - 1, bad[step]]
        most = past.max(initial=0.0)
        return past / most if most > 0 else past

    def _judge(self, past: Floats, previous: Plan | None) -> tuple[float, ...]:
        if previous is None:
            return (0.0,) * len(self._experts)
        reached = [
            utilisation(self.paths, first_order.shares(self.paths, own), past[-1]).max(initial=0.0)
            for own in previous.logits
        ]
        best = min(reached)
        return tuple(
            self._discount * before + (now / best - 1 if best > 0 else 0.0)
            for before, now in zip(previous.losses, reached, strict=True)
        )

    def _ask(
        self,
        number: int,
        past: Floats,
        waking: Floats,
        previous: Plan | None,
        asked: tuple[Floats, ...],
    ) -> Floats:
        """Return an expert's logits; without a previous plan it begins where the others are."""
        expert = self._experts[number]
        if previous is None and not asked:
            start, iterations = self.paths.wide_first, 4 * self._iterations
        elif previous is None:
            start, iterations = asked[-1], self._iterations
        else:
            start, iterations = previous.logits[number], self._iterations
        scenarios, weights = lay_scenarios(expert, past[-self._depth(expert) - 1 :], waking)
        return first_order.search(
            self.paths, scenarios, weights, start, iterations=iterations, power=expert.power
        )

    def _depth(self, expert: Expert) -> int:
        """Return how far an expert looks back here."""
        most = _MOST_NUMBERS if expert.memory else _MOST_SEEN
        return max(2, min(expert.horizon, most // max(1, self.topology.pairs[0].size)))


def _rounds(paths: PathSet) -> int:
    """Return how many rounds a search has: more where they cost little."""
    least, most = _ROUNDS
    return max(least, min(most, _ROUNDS_WORK // max(1, paths.supports[2].size)))


def woken(past: Floats) -> Floats:
    """Return what each pair `(P,)` may begin with after silence.

    It is the most that it ever sent; if that is nothing, the median of the others' most.
    """
    most: Floats = past.max(axis=0, initial=0.0)
    sending = most[most > 0]
    return np.where(most > 0, most, np.median(sending) if sending.size else 1.0)


def lay_scenarios(expert: Expert, past: Floats, waking: Floats) -> tuple[Floats, Floats]:
    """Return what the next interval may bring `(S, P)` and how much each case weighs `(S,)`.

    `waking` `(P,)` is what pairs may begin with that were silent as far as the expert looks.
    """
    past = past[-expert.horizon - 1 :]
    forecast, surprises = _foreseen(expert.memory, past)
    cases = np.concatenate((forecast[None], forecast + expert.stretch * surprises))
    floor = _FLOOR * past.mean(axis=0)
    weights = np.ones(len(cases))
    weights[0] = _FORECAST_WEIGHT
    cases = np.maximum(cases, floor)
    is_silent = past.max(axis=0) < _SILENT * waking
    if is_silent.any():
        cases = np.concatenate((cases, np.where(is_silent, waking, forecast)[None]))
        weights = np.append(weights, _WOKEN_WEIGHT)
    return cases, weights


def _foreseen(memory: float, past: Floats) -> tuple[Floats, Floats]:
    """Return the mean weighted by age `(P,)`, and how far off it was before `(T - 1, P)`."""
    if memory == 0.0:
        mean: Floats = past.mean(axis=0)
        return mean, past[1:] - mean
    means = np.empty_like(past)
    means[0] = past[0]
    for step in range(1, len(past)):
        means[step] = memory * past[step] + (1 - memory) * means[step - 1]
    return means[-1], past[1:] - means[:-1]


def utilisation(paths: PathSet, splits: Floats, demands: Floats) -> Floats:
    """Return the utilisation of every link `(E,)` when demands `(P,)` are split over paths."""
    flows = splits * demands[paths.pair_of]
    loads: Floats = paths.incidence.T @ flows
    return loads / paths.topology.capacities
