"""What nodes tell each second on `qnx.telemetry.NODE`: measured values, never a key bit."""

from __future__ import annotations

import msgspec


class HopSample(msgspec.Struct, frozen=True, kw_only=True):
    """The way to the next node, since the sample before."""

    target: str
    is_up: bool
    capacity_bps: float
    load_bps: float
    delay_s: float | None = None
    loss: float | None = None
    queue_bytes: int = 0
    retransmits: int = 0
    """TCP segments sent again by the sessions and relays that run."""


class PoolSample(msgspec.Struct, frozen=True, kw_only=True):
    """Key in common with a peer."""

    peer: str
    stock_bits: int
    capacity_bits: int
    in_bps: float
    """Key made (or relayed in) per second."""
    out_bps: float
    """Key drawn per second."""
    reserve_bits: int = 0


class FlowSample(msgspec.Struct, frozen=True, kw_only=True):
    """User traffic that enters the network at this node, by where it leaves."""

    destination: str
    traffic_class: str
    """`critical` or `bulk`."""
    demand_bps: float
    """What users offered."""
    goodput_bps: float
    """What arrived and was acknowledged."""
    key_draw_bps: float = 0.0
    delay_s: float | None = None


class NodeSample(msgspec.Struct, frozen=True, kw_only=True):
    """One node, one second."""

    node: str
    number: int
    """Counts up from the node's start; a gap is a lost sample."""
    time_s: float
    """Unix time by the node's own clock."""
    revision: int
    """Of the routes that the node follows."""
    hops: tuple[HopSample, ...] = ()
    pools: tuple[PoolSample, ...] = ()
    flows: tuple[FlowSample, ...] = ()
    cpu_share: float = 0.0
