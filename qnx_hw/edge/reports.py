"""What an edge says of itself each second: samples on the bus, views for the screens."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque

import msgspec

from qnx_hw.api.traffic import HopView, TunnelState, TunnelView
from qnx_hw.bus.interface import Bus
from qnx_hw.bus.routes import RouteAck
from qnx_hw.bus.telemetry import FlowSample, HopSample, NodeSample, PoolSample
from qnx_hw.edge.edge import Edge
from qnx_hw.edge.traffic import Line, Totals
from qnx_hw.errors import QnxError

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
KEPT_SAMPLES = 900
"""A quarter of an hour without the core; older samples are dropped."""


class Reporter:
    """Measures rates between two reports; keeps samples while the bus is away."""

    def __init__(self, edge: Edge, bus: Bus) -> None:
        self._edge = edge
        self._bus = bus
        self._number = 0
        self._waiting: deque[bytes] = deque(maxlen=KEPT_SAMPLES)
        self._last_s = time.monotonic()
        self._last_cpu_s = time.process_time()
        self._last_hops: dict[str, int] = {}
        self._last_probes: dict[str, tuple[int, int]] = {}
        self._last_lines: dict[str, tuple[Totals, int]] = {}
        self.newest: NodeSample | None = None
        self.tunnels: tuple[TunnelView, ...] = ()
        self.hops: tuple[HopView, ...] = ()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            await asyncio.sleep(INTERVAL_S)
            await self.report()

    async def report(self) -> None:
        """Measure now, and send what waits."""
        self._measure()
        assert self.newest is not None
        self._waiting.append(msgspec.json.encode(self.newest))
        try:
            while self._waiting:
                await self._bus.stream("telemetry").append(self._edge.node, self._waiting[0])
                self._waiting.popleft()
        except QnxError as error:  # away, or without the right: the edge goes on either way
            log.debug("%s: a sample waits: %s", self._edge.node, error)

    async def acknowledge(self, answer: RouteAck) -> None:
        """Say whether a table is followed; the next table asks again where the bus is away."""
        try:
            await self._bus.stream("ack").append(self._edge.node, msgspec.json.encode(answer))
        except QnxError as error:
            log.debug("%s: an answer was not sent: %s", self._edge.node, error)

    def _measure(self) -> None:
        now_s, cpu_s = time.monotonic(), time.process_time()
        span_s = max(1e-3, now_s - self._last_s)
        hops = tuple(self._hop(name, span_s) for name in self._edge.hops)
        openers = [line for line in self._edge.lines.values() if line.is_opener]
        self.tunnels = tuple(self._tunnel(line, span_s) for line in openers)
        flows = self._flows(openers, span_s)
        self._last_lines = {
            line.traffic.name: (line.totals(), line.keys.drawn_bits) for line in openers
        }
        self.hops = tuple(
            HopView(
                name=f"{self._edge.node} {hop.target}",
                source=self._edge.node,
                target=hop.target,
                is_up=hop.is_up,
                capacity_bps=hop.capacity_bps,
                load_bps=hop.load_bps,
                delay_s=hop.delay_s,
                loss=hop.loss,
                queue_bytes=hop.queue_bytes,
                retransmits=hop.retransmits,
            )
            for hop in hops
        )
        self._number += 1
        self.newest = NodeSample(
            node=self._edge.node,
            number=self._number,
            time_s=time.time(),
            revision=self._edge.forwarder.table.revision,
            hops=hops,
            pools=self._pools(),
            flows=flows,
            cpu_share=max(0.0, (cpu_s - self._last_cpu_s) / span_s),
        )
        self._last_s, self._last_cpu_s = now_s, cpu_s

    def _hop(self, name: str, span_s: float) -> HopSample:
        hop, sent = self._edge.hops[name], self._edge.tally.sent_bytes(name)
        load = max(0, sent - self._last_hops.get(name, sent))
        self._last_hops[name] = sent
        probes, lost = self._last_probes.get(name, (0, 0))
        self._last_probes[name] = hop.probes, hop.lost
        asked = hop.probes - probes
        return HopSample(
            target=name,
            is_up=hop.is_up,
            capacity_bps=hop.capacity_bps,
            load_bps=8 * load / span_s,
            delay_s=hop.delay_s if hop.is_up else None,
            loss=(hop.lost - lost) / asked if asked else None,
            queue_bytes=self._edge.tally.queued_bytes(name),
            retransmits=self._edge.tally.retransmits(name),
        )

    def _pools(self) -> tuple[PoolSample, ...]:
        found = []
        for peer in dict.fromkeys([*self._edge.hops, *(x.peer for x in self._edge.lines.values())]):
            stock = self._edge.source.stock(peer)
            found.append(
                PoolSample(
                    peer=peer,
                    stock_bits=stock.bits,
                    capacity_bits=stock.capacity_bits,
                    in_bps=stock.in_bps,
                    out_bps=stock.out_bps,
                    reserve_bits=stock.reserve_bits,
                )
            )
        return tuple(found)

    def _since(self, line: Line) -> tuple[Totals, int]:
        totals = line.totals()
        before, drawn = self._last_lines.get(line.traffic.name, (Totals(), 0))
        return (
            Totals(
                totals.bytes_in - before.bytes_in,
                totals.bytes_out - before.bytes_out,
                totals.records - before.records,
                totals.failures - before.failures,
                max(0, totals.arrived_bytes - before.arrived_bytes),
            ),
            line.keys.drawn_bits - drawn,
        )

    def _flows(self, openers: list[Line], span_s: float) -> tuple[FlowSample, ...]:
        sums: dict[tuple[str, str], list[float]] = {}
        delays: dict[tuple[str, str], float] = {}
        for line in openers:
            since, drawn = self._since(line)
            place = line.peer, line.traffic.traffic_class
            values = (since.bytes_in, since.arrived_bytes, drawn / 8)
            sums[place] = [a + b for a, b in zip(sums.get(place, [0, 0, 0]), values, strict=True)]
            if (rtt_s := line.rtt_s()) is not None:
                delays[place] = min(rtt_s / 2, delays.get(place, rtt_s))
        return tuple(
            FlowSample(
                destination=peer,
                traffic_class=kind,
                demand_bps=8 * offered / span_s,
                goodput_bps=8 * arrived / span_s,
                key_draw_bps=8 * drawn / span_s,
                delay_s=delays.get((peer, kind)),
            )
            for (peer, kind), (offered, arrived, drawn) in sums.items()
        )

    def _tunnel(self, line: Line, span_s: float) -> TunnelView:
        totals = line.totals()
        since, drawn = self._since(line)
        state, message = state_of(line)
        live = next(iter(line.sessions), None)
        now_s = time.monotonic()
        spools = [each.spool for each in tuple(line.sessions) if each.spool is not None]
        waits = [each.waits_for_key_since_s for each in tuple(line.sessions)]
        ages = [now_s - at for at in waits if at is not None]
        ages += [age_s for spool in spools if (age_s := spool.age_s) is not None]
        return TunnelView(
            name=line.traffic.name,
            source=line.traffic.source,
            destination=line.traffic.destination,
            state=state,
            message=message,
            mode=line.traffic.mode.value,
            policy=line.traffic.policy,
            route=live.path if live is not None else line.last_path,
            connections=len(line.sessions),
            bytes_in=totals.bytes_in,
            bytes_out=totals.bytes_out,
            saved_bytes=line.saved_bytes,
            added_delay_s=line.added_delay_s,
            rate_bps=8 * (since.bytes_in + since.bytes_out) / span_s,
            frames=totals.records,
            failures=totals.failures,
            retransmits=totals.retransmits,
            epoch=line.keys.newest.number if line.keys.newest is not None else 0,
            key_draw_bps=drawn / span_s,
            queue_bytes=line.waiting_bytes
            + sum(each.unacknowledged_bytes for each in tuple(line.sessions))
            + sum(spool.waiting_bytes for spool in spools),
            queue_age_s=max(ages, default=line.waiting_age_s),
            rtt_s=line.rtt_s(),
            rate_limit_bps=line.rate_limit_bps(),
        )


def state_of(line: Line) -> tuple[TunnelState, str]:
    """Return how a tunnel is, and what is out of the ordinary."""
    is_blocked = any(each.waits_for_key_since_s is not None for each in tuple(line.sessions))
    words = line.keys.describe()
    if (stored := _stored(line, words)) is not None:
        return stored
    if is_blocked or (line.waiting and line.message):
        return TunnelState.BLOCKED, line.message or words or "waits for key"
    if line.message and not line.sessions:
        return TunnelState.DOWN, line.message
    if not line.sessions:
        return TunnelState.IDLE, ""
    if words:
        return TunnelState.DEGRADED, words
    return TunnelState.UP, ""


def _stored(line: Line, words: str) -> tuple[TunnelState, str] | None:
    sessions = tuple(line.sessions)
    stored = sum(each.spool.waiting_bytes for each in sessions if each.spool is not None)
    if any(each.is_full for each in sessions):
        return TunnelState.BLOCKED, f"store: {stored} bytes wait on disk, and no more may; {words}"
    if stored:
        return TunnelState.DEGRADED, f"store: {stored} bytes wait on disk; {words}"
    return None
