"""How a decision looks to the screens."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
import numpy as np

from qnx_hw.api.traffic import PlanView, Route
from qnx_hw.bus.routes import RouteAck
from qnx_hw.network.objectives import Objective
from qnx_hw.network.policy import Decision

MOST_ROUTES = 2_000
"""Screens get the routes with the largest demands, up to this many."""


def plan_view(
    decision: Decision,
    *,
    revision: int,
    time_s: float,
    doubts: Mapping[str, str] | None = None,
) -> PlanView:
    """Return the view of a decision, before any node answered; takes a while in large networks."""
    topology = decision.paths.topology
    order = np.argsort(-decision.expected, kind="stable")[:MOST_ROUTES]
    routes = []
    for pair in sorted(order.tolist()):
        ways = decision.ways(pair) if decision.paths.has_path[pair] else []
        routes.append(
            Route(
                source=topology.names[int(topology.pairs[0][pair])],
                destination=topology.names[int(topology.pairs[1][pair])],
                demand_bps=float(decision.expected[pair]) * 1e6,
                paths=tuple(way for way, _ in ways),
                shares=tuple(share for _, share in ways),
                reason=decision.explain(pair),
            )
        )
    reasons = [decision.reason, *(f"{node}: {why}" for node, why in sorted((doubts or {}).items()))]
    return PlanView(
        revision=revision,
        time_s=time_s,
        objective=decision.objective.value,
        objectives=tuple(each.value for each in Objective),
        reason="; ".join(each for each in reasons if each),
        experts=decision.experts,
        shares=decision.shares,
        expected_utilisation=float(decision.loads.max(initial=0.0)),
        routes=tuple(routes),
    )


def answered(view: PlanView, acks: Mapping[str, RouteAck], measured: float | None) -> PlanView:
    """Return the view with what nodes answered to it and what they measure."""
    return msgspec.structs.replace(
        view,
        measured_utilisation=measured,
        acknowledged=tuple(
            sorted(
                node for node, ack in acks.items() if ack.accepted and ack.revision == view.revision
            )
        ),
        refused=tuple(
            f"{node}: {ack.reason}"
            for node, ack in sorted(acks.items())
            if not ack.accepted and ack.revision == view.revision
        ),
    )
