"""Numbers for Prometheus: what the hub shows, as text in its exposition format 0.0.4."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from qnx_hw.api.schema import LinkView, NodeView
from qnx_hw.api.traffic import HopView, PoolView, TunnelState, TunnelView
from qnx_hw.node.state import Hub

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

Sample = tuple[dict[str, str], float]


def metrics_route(hub: Hub) -> Route:
    """Return the route of `/metrics`."""

    async def serve(request: Request) -> Response:
        return Response(text(hub), headers={"Content-Type": CONTENT_TYPE})

    return Route("/metrics", serve)


def text(hub: Hub) -> str:
    """Return all metrics; a value that is not known is left out."""
    return "".join(
        f"# HELP qnx_{name} {about}\n# TYPE qnx_{name} {kind}\n"
        + "".join(f"qnx_{name}{_labels(labels)} {value:.12g}\n" for labels, value in samples)
        for name, kind, about, samples in _families(hub)
        if samples
    )


def _families(hub: Hub) -> Iterator[tuple[str, str, str, list[Sample]]]:
    nodes = hub.latest(NodeView)
    yield (
        "node_up",
        "gauge",
        "Whether the node runs in this process.",
        [({"node": node.name}, float(node.is_online)) for node in nodes],
    )
    yield (
        "process_cpu_seconds_total",
        "counter",
        "Processor time of all nodes of this process.",
        [({}, time.process_time())],
    )
    yield from _links(hub.latest(LinkView))
    yield from _pools(hub.latest(PoolView))
    yield from _hops(hub.latest(HopView))
    yield from _tunnels(hub.latest(TunnelView))


def _links(links: tuple[LinkView, ...]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    values: Sequence[float | None]
    for name, kind, about, values in (
        ("link_qber", "gauge", "Quantum bit error rate.", [link.qber.value for link in links]),
        (
            "link_secret_bits_total",
            "counter",
            "Secret bits made since the start.",
            [link.secret_bits for link in links],
        ),
        (
            "link_blocks_aborted_total",
            "counter",
            "Blocks given up since the start.",
            [link.blocks_aborted for link in links],
        ),
    ):
        yield name, kind, about, _known([{"link": link.name} for link in links], values)


def _pools(pools: tuple[PoolView, ...]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    labels = [{"node": pool.node, "peer": pool.peer} for pool in pools]
    values: Sequence[float | None]
    for name, about, values in (
        ("pool_bits", "Key in stock.", [pool.stock_bits for pool in pools]),
        ("pool_in_bps", "Key made per second.", [pool.in_bps for pool in pools]),
        ("pool_out_bps", "Key drawn per second.", [pool.out_bps for pool in pools]),
    ):
        yield name, "gauge", about, _known(labels, values)


def _hops(hops: tuple[HopView, ...]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    labels = [{"source": hop.source, "target": hop.target} for hop in hops]
    values: Sequence[float | None]
    for name, about, values in (
        ("hop_up", "Whether the way to the neighbour works.", [float(hop.is_up) for hop in hops]),
        ("hop_load_bps", "User traffic per second.", [hop.load_bps for hop in hops]),
        ("hop_capacity_bps", "What the way can carry.", [hop.capacity_bps for hop in hops]),
        ("hop_delay_seconds", "One way.", [hop.delay_s for hop in hops]),
        ("hop_loss_ratio", "Probes without an echo.", [hop.loss for hop in hops]),
        ("hop_queue_bytes", "Sent and not yet confirmed.", [hop.queue_bytes for hop in hops]),
        ("hop_retransmits", "TCP segments sent again.", [hop.retransmits for hop in hops]),
    ):
        yield name, "gauge", about, _known(labels, values)


def _tunnels(tunnels: tuple[TunnelView, ...]) -> Iterator[tuple[str, str, str, list[Sample]]]:
    labels = [
        {"tunnel": each.name, "source": each.source, "destination": each.destination}
        for each in tunnels
    ]
    values: Sequence[float | None]
    for name, kind, about, values in (
        ("tunnel_in_bytes_total", "counter", "From users.", [each.bytes_in for each in tunnels]),
        ("tunnel_out_bytes_total", "counter", "To users.", [each.bytes_out for each in tunnels]),
        ("tunnel_frames_total", "counter", "Records sealed.", [each.frames for each in tunnels]),
        (
            "tunnel_refused_total",
            "counter",
            "Records refused.",
            [each.failures for each in tunnels],
        ),
        (
            "tunnel_retransmits_total",
            "counter",
            "TCP segments sent again.",
            [each.retransmits for each in tunnels],
        ),
        ("tunnel_saved_bytes", "gauge", "By local steps.", [each.saved_bytes for each in tunnels]),
        ("tunnel_connections", "gauge", "Open now.", [each.connections for each in tunnels]),
        ("tunnel_epoch", "gauge", "Which key is in use.", [each.epoch for each in tunnels]),
        ("tunnel_key_bps", "gauge", "Key drawn.", [each.key_draw_bps for each in tunnels]),
        ("tunnel_queue_bytes", "gauge", "Waiting.", [each.queue_bytes for each in tunnels]),
        (
            "tunnel_queue_age_seconds",
            "gauge",
            "The oldest.",
            [each.queue_age_s for each in tunnels],
        ),
        ("tunnel_rtt_seconds", "gauge", "Round trip.", [each.rtt_s for each in tunnels]),
    ):
        yield name, kind, about, _known(labels, values)
    states = [
        ({**place, "state": state.value, "policy": each.policy.value}, float(each.state is state))
        for place, each in zip(labels, tunnels, strict=True)
        for state in TunnelState
    ]
    yield "tunnel_state", "gauge", "1 for the state that the tunnel is in.", states


def _known(labels: Sequence[dict[str, str]], values: Sequence[float | None]) -> list[Sample]:
    return [
        (place, float(value))
        for place, value in zip(labels, values, strict=True)
        if value is not None
    ]


def _labels(labels: dict[str, str]) -> str:
    if not labels:
        return ""
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace('"', r"\"").replace("\n", r"\n")
