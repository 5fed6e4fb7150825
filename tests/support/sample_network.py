"""A network of six sites with everything that screens show, in invented but consistent numbers."""

from __future__ import annotations

import math

import msgspec
from fake_node import sample_instrument, sample_link, sample_snapshot
from served_api import ServedApi

from qnx_hw.api.loops import ActuatorAxis, LoopState, LoopView
from qnx_hw.api.schema import (
    Event,
    Level,
    LinkPhase,
    LinkView,
    NodeView,
    Reading,
    Snapshot,
)
from qnx_hw.api.traffic import (
    HopView,
    KeyPolicy,
    PlanView,
    PoolView,
    Route,
    TunnelState,
    TunnelView,
)
from qnx_hw.api.value import Estimate

SITES = {
    "alice": (0.15, 0.3, 0.82),
    "bob": (0.5, 0.15, 0.64),
    "relay": (0.52, 0.6, 0.47),
    "edge-1": (0.82, 0.3, 0.31),
    "edge-2": (0.86, 0.72, 0.71),
    "lab": (0.16, 0.75, 0.12),
}
FAMILIES = {
    "tagger": "time_tagger",
    "detectors": "photon_detector",
    "polarization": "polarization_controller",
}
READINGS = {
    "tagger": ("rate", 8.2e6, "cps"),
    "detectors": ("temperature", -19.8, "°C"),
    "polarization": ("paddle 1", 49.6, "deg"),
}
# From, to, secret bit/s, QBER, load.
WAYS = (
    ("alice", "bob", 3420.0, 0.0231, 0.62),
    ("bob", "edge-1", 1200.0, 0.041, 0.88),
    ("alice", "relay", 2100.0, 0.027, 0.35),
    ("relay", "edge-2", 2700.0, 0.025, 0.41),
    ("lab", "relay", None, None, 0.0),
)
CAPACITY_BITS = 100_000_000


def sample_network() -> Snapshot:
    """A network whose link `lab-relay` is stopped and whose pool `bob edge-1` runs low."""
    nodes = tuple(
        NodeView(
            name=name,
            is_online=True,
            position=(x, y),
            pool_bits=round(CAPACITY_BITS * part),
            pool_capacity_bits=CAPACITY_BITS,
            instruments=tuple(
                sample_instrument(name, each, family=family, readings=(_reading(each),))
                for each, family in FAMILIES.items()
            ),
        )
        for name, (x, y, part) in SITES.items()
    )
    links = tuple(
        sample_link(
            name=f"{a}-{b}", alice=a, bob=b, secret_rate_bps=rate, window_ps=6000,
            qber=Estimate(value=qber, sigma=0.001),
            phase=LinkPhase.STOPPED if rate is None else LinkPhase.GENERATING,
        )
        for a, b, rate, qber, _ in WAYS
    )  # fmt: skip
    hops = tuple(
        HopView(
            name=f"{a} {b}", source=a, target=b, is_up=rate is not None, capacity_bps=1e9,
            load_bps=load * 1e9, delay_s=0.002, loss=0.0,
        )
        for a, b, rate, _, load in WAYS
    )  # fmt: skip
    pools = tuple(
        PoolView(
            name=f"{a} {b}", node=a, peer=b, link=f"{a}-{b}", capacity_bits=CAPACITY_BITS,
            stock_bits=round(CAPACITY_BITS * SITES[b][2]), reserve_bits=40_000_000, in_bps=rate,
            out_bps=800.0, exhausted_in_s=7800.0 if b == "edge-1" else None,
        )
        for a, b, rate, _, _ in WAYS
    )  # fmt: skip
    tunnel = TunnelView(
        name="alice edge-2", source="alice", destination="edge-2", state=TunnelState.UP,
        mode="aes-256-gcm", policy=KeyPolicy.BLOCK, route=("alice", "relay", "edge-2"),
        rate_bps=842e6,
    )  # fmt: skip
    plan = PlanView(
        revision=12, time_s=1.78e9, objective="max-min", objectives=("max-min", "least load"),
        reason="edge-1 draws more key than bob-edge-1 makes", experts=("seasonal", "last hour"),
        shares=(0.7, 0.3), expected_utilisation=0.82, measured_utilisation=0.88,
        routes=(
            Route(
                source="alice", destination="edge-2", demand_bps=8e8, shares=(0.8, 0.2),
                paths=(("alice", "relay", "edge-2"), ("alice", "bob", "edge-1", "edge-2")),
            ),
        ),
        acknowledged=("alice", "bob"), refused=("lab: offline",),
    )  # fmt: skip
    loop = LoopView(
        name="alice-bob polarization", node="alice", link="alice-bob", kind="polarization",
        instrument="polarization", state=LoopState.TRACKING, algorithm="spsa",
        algorithms=("spsa", "simplex"), target=0.02, unit="QBER",
        residual=Estimate(value=0.011, sigma=0.002), stokes=((0.96, 0.28, 0.0),),
        axes=(
            ActuatorAxis(
                name="paddle 1", unit="deg", low=0.0, high=170.0, requested=50.0, actual=49.6
            ),
        ),
    )  # fmt: skip
    told = (
        (Level.OK, "alice-bob", "Block 412: 284 kbit added"),
        (Level.WARNING, "edge-1", "Key pool at 31 %, at this rate empty in 2 h 10 min"),
        (Level.ALARM, "lab-relay", "Link lab-relay is down: no heartbeat for 15 s"),
    )
    events = tuple(
        Event(number=number, time_s=1.78e9, level=level, source=source, message=message)
        for number, (level, source, message) in enumerate(told, start=1)
    )
    return msgspec.structs.replace(
        sample_snapshot(), nodes=nodes, links=links, hops=hops, pools=pools, tunnels=(tunnel,),
        plans=(plan,), loops=(loop,), events=events,
    )  # fmt: skip


def fill_history(
    api: ServedApi, now_s: float, *, seconds: float = 3600.0, samples: int = 300
) -> None:
    """Put a past of slow waves behind what the hub shows."""
    kinds = (LinkView, HopView, PoolView, NodeView)
    views = [view for kind in kinds for view in api.hub.latest(kind)]
    for step in range(samples):
        wave = 1.0 + 0.1 * math.sin(step / 20.0)
        for view in views:
            waved = _waved(view, wave) if isinstance(view, LinkView) else view
            api.history.sample(waved, now_s - seconds + step * seconds / samples)


def _waved(link: LinkView, wave: float) -> LinkView:
    if link.secret_rate_bps is None:
        return link
    qber = Estimate(value=0.025 * wave)
    return msgspec.structs.replace(
        link, secret_rate_bps=link.secret_rate_bps * wave, qber=qber, qber_z=qber
    )


def _reading(instrument: str) -> Reading:
    name, value, unit = READINGS[instrument]
    return Reading(name=name, value=value, unit=unit)
