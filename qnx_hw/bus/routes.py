"""What the controller tells nodes about the way of user traffic, and what they answer.

Tables stand in the bus' KV bucket `routes`, one key a node; answers come on `qnx.ack.NODE`.
"""

from __future__ import annotations

import msgspec

BUCKET = "routes"


class NextHop(msgspec.Struct, frozen=True, kw_only=True):
    """A neighbour and its share of the traffic."""

    node: str
    weight: float


class RouteEntry(msgspec.Struct, frozen=True, kw_only=True):
    """Where this node sends what goes from `source` to `destination`."""

    source: str
    destination: str
    traffic_class: str
    """`critical`, `bulk`, or `any`."""
    next_hops: tuple[NextHop, ...]
    """Weights sum to 1."""
    backups: tuple[str, ...] = ()
    """Neighbours to try, in order, when no next hop is up."""
    rate_limit_bps: float | None = None
    """The share of bandwidth at the source; None elsewhere and where it is not limited."""


class StockAdvice(msgspec.Struct, frozen=True, kw_only=True):
    """How much relayed key to have ready with a peer; levels, never key."""

    peer: str
    bits: int
    by: tuple[str, ...] = ()
    """Neighbours over which to relay it, best first."""


class RouteTable(msgspec.Struct, frozen=True, kw_only=True):
    """All entries of one node."""

    node: str
    revision: int
    """Grows with every plan; an older one is never applied over a newer one."""
    time_s: float
    entries: tuple[RouteEntry, ...]
    stocks: tuple[StockAdvice, ...] = ()
    """For peers without a common link, where users are expected to draw key."""


class RouteAck(msgspec.Struct, frozen=True, kw_only=True):
    """Whether a node follows a table."""

    node: str
    revision: int
    accepted: bool
    reason: str = ""
