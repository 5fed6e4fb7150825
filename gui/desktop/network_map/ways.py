"""Which ways there are between sites, and where sites stand on a map. Opens nothing."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace

from qnx_hw.api.schema import LinkPhase, LinkView, NodeView
from qnx_hw.api.traffic import HopView

NARROWEST = 0.05
"""Spread of positions below which an axis tells nothing and sites stand in its middle."""
_RESTING = {LinkPhase.IDLE, LinkPhase.STOPPED, LinkPhase.FAULT}


@dataclass(frozen=True, slots=True)
class Way:
    """All that joins two sites: a link that makes key, hops that carry traffic, or both."""

    a: str
    b: str
    link: LinkView | None = None
    there: HopView | None = None
    """The hop from `a` to `b`."""
    back: HopView | None = None

    @property
    def hops(self) -> tuple[HopView, ...]:
        """Both directions, as far as traffic takes them."""
        return tuple(hop for hop in (self.there, self.back) if hop is not None)

    @property
    def loads(self) -> tuple[float | None, float | None]:
        """How full each direction is, from 0 to 1; None where it carries no traffic."""
        return _load(self.there), _load(self.back)

    @property
    def load(self) -> float | None:
        """How full the fuller direction is."""
        return max((load for load in self.loads if load is not None), default=None)

    @property
    def is_down(self) -> bool:
        """Whether nothing goes over it: all hops are down, or it is a link that rests."""
        if self.hops:
            return not any(hop.is_up for hop in self.hops)
        return self.link is not None and self.link.phase in _RESTING

    @property
    def secret_rate_bps(self) -> float | None:
        """What its link makes of key."""
        return None if self.link is None else self.link.secret_rate_bps


def ways(links: Iterable[LinkView], hops: Iterable[HopView]) -> tuple[Way, ...]:
    """Join links and hops into one way for each pair of sites, in order of their names."""
    found: dict[tuple[str, str], Way] = {}
    for link in links:
        a, b = sorted((link.alice, link.bob))
        found[a, b] = Way(a, b, link=link)
    for hop in hops:
        a, b = sorted((hop.source, hop.target))
        way = found.get((a, b), Way(a, b))
        found[a, b] = replace(way, there=hop) if hop.source == a else replace(way, back=hop)
    return tuple(way for _, way in sorted(found.items()))


def places(nodes: Iterable[NodeView]) -> dict[str, tuple[float, float]]:
    """Return where sites stand, stretched over the unit square; on a circle where two would meet.

    Positions in a network file may use a small part of the square; the map uses all of it.
    """
    nodes = tuple(nodes)
    if len({node.position for node in nodes}) < len(nodes):
        return {
            node.name: (0.5 + 0.5 * math.sin(turn), 0.5 - 0.5 * math.cos(turn))
            for number, node in enumerate(nodes)
            for turn in (2 * math.pi * number / len(nodes),)
        }
    across = _stretched([node.position[0] for node in nodes])
    down = _stretched([node.position[1] for node in nodes])
    return {node.name: (x, y) for node, x, y in zip(nodes, across, down, strict=True)}


def _stretched(values: list[float]) -> list[float]:
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high - low < NARROWEST:
        return [0.5] * len(values)
    return [(value - low) / (high - low) for value in values]


def _load(hop: HopView | None) -> float | None:
    if hop is None or hop.capacity_bps <= 0:
        return None
    return min(max(hop.load_bps / hop.capacity_bps, 0.0), 1.0)
