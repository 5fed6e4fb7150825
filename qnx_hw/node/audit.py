"""What each plan was expected to do, beside what the nodes measured under it."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable

import msgspec
import numpy as np

from qnx_hw.api.traffic import PLAN, Forecast
from qnx_hw.network.knowledge import Knowledge
from qnx_hw.network.policy import Decision, Situation

SHOWN = 360
"""Judgements that the screens get."""
_UNITS = {
    "utilisation": "of the fullest link",
    "goodput_bps": "bit/s",
    "delay_s": "s",
    "loss": "of what is sent",
    "key_draw_bps": "bit/s",
}


class Figures(msgspec.Struct, frozen=True, kw_only=True):
    """How the whole network does; None where nothing is known."""

    utilisation: float | None
    goodput_bps: float | None
    delay_s: float | None
    """From end to end, of an average bit."""
    loss: float | None
    key_draw_bps: float | None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """One plan, at one time."""

    time_s: float
    revision: int
    expected: Figures
    came: Figures


class Audit:
    """Holds what the plan in force is expected to do until it is measured."""

    def __init__(self, knowledge: Knowledge) -> None:
        self._knowledge = knowledge
        self._expected: tuple[int, Figures] | None = None
        self._outcomes: deque[Outcome] = deque(maxlen=SHOWN)

    def expect(self, revision: int, decision: Decision, situation: Situation) -> None:
        """Remember what a plan that is in force now will do."""
        self._expected = revision, expected(decision, situation, self._knowledge)

    def judge(self, time_s: float) -> Outcome | None:
        """Return what came of the plan in force; None before there is one."""
        if self._expected is None:
            return None
        revision, figures = self._expected
        outcome = Outcome(
            time_s=time_s, revision=revision, expected=figures, came=measured(self._knowledge)
        )
        self._outcomes.append(outcome)
        return outcome

    def views(self) -> tuple[Forecast, ...]:
        """Return each figure as it was expected and as it came."""
        nothing = (None,) * len(self._outcomes)
        return tuple(
            Forecast(
                name=f"plan: {name.rpartition('_')[0].replace('_', ' ') or name}",
                unit=unit,
                model=PLAN,
                times_s=tuple(each.time_s for each in self._outcomes),
                expected=tuple(getattr(each.expected, name) for each in self._outcomes),
                low=nothing,
                high=nothing,
                actual=tuple(getattr(each.came, name) for each in self._outcomes),
            )
            for name, unit in _UNITS.items()
        )


def expected(decision: Decision, situation: Situation, knowledge: Knowledge) -> Figures:
    """Return what a decision promises for the demand that it was made for.

    Utilisation is of the links' own capacities, as it is measured, not of what key leaves of them.
    """
    paths, topology = decision.paths, decision.paths.topology
    carried = np.where(paths.has_path, np.minimum(decision.expected, decision.rates), 0.0)
    loads = decision.loads * topology.capacities
    beyond = float(np.maximum(loads - topology.capacities, 0.0).sum())
    demand, draw = knowledge.demand_and_draw_bps()
    return Figures(
        utilisation=float((loads / knowledge.topology.capacities).max(initial=0.0)),
        goodput_bps=float(carried.sum()) * 1e6 - beyond * 1e6,
        delay_s=_delay_s(loads, float(carried.sum()), situation),
        loss=beyond / float(loads.sum()) if loads.any() else 0.0,
        key_draw_bps=float(carried.sum()) * 1e6 * draw / demand if demand > 0 else None,
    )


def _delay_s(loads: np.ndarray, carried: float, situation: Situation) -> float | None:
    """Return the links' known delays, each weighed by its part of what is carried."""
    delays_s = situation.delays_s
    if delays_s is None or not np.isfinite(delays_s).any() or carried <= 0:
        return None
    filled = np.where(np.isfinite(delays_s), delays_s, np.nanmedian(delays_s))
    return float(filled @ loads) / carried


def measured(knowledge: Knowledge) -> Figures:
    """Return what the nodes told last."""
    shares = knowledge.link_loads() / knowledge.topology.capacities
    flows = [
        flow for flow in knowledge.flows() if _are_amounts(flow.goodput_bps, flow.key_draw_bps)
    ]
    timed = [
        (flow.delay_s, flow.goodput_bps)
        for flow in flows
        if flow.delay_s is not None and _are_amounts(flow.delay_s) and flow.goodput_bps > 0
    ]
    losses = [hop.loss for hop in knowledge.hops() if hop.loss is not None]
    return Figures(
        utilisation=float(np.nanmax(shares)) if np.isfinite(shares).any() else None,
        goodput_bps=sum(flow.goodput_bps for flow in flows) if flows else None,
        delay_s=_mean(timed),
        loss=_mean([(loss, 1.0) for loss in losses if _are_amounts(loss)]),
        key_draw_bps=sum(flow.key_draw_bps for flow in flows) if flows else None,
    )


def _mean(weighed: Iterable[tuple[float, float]]) -> float | None:
    values = np.array(list(weighed)).reshape(-1, 2)
    return float(np.average(values[:, 0], weights=values[:, 1])) if len(values) else None


def _are_amounts(*values: float) -> bool:
    return all(math.isfinite(value) and value >= 0 for value in values)
