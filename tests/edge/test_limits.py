"""Users are held to the rates of the plan and of the network file."""

import asyncio
import random
from dataclasses import replace

import pytest
from edge_net import connect, edge_net, exchange
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.bus.routes import NextHop, RouteEntry, RouteTable
from qnx_hw.edge.forwarding import Forwarder
from qnx_hw.edge.limits import BURST_S, LEAST_BPS, Bucket, PlanLimits
from qnx_hw.edge.traffic import Traffic

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")


class Clock:
    """Time that goes on when it is told to."""

    def __init__(self) -> None:
        self.now_s = 1000.0

    def __call__(self) -> float:
        return self.now_s


def table(revision: int, **limits: float | None) -> RouteTable:
    """Return Alice's table with a rate for each class of traffic to Bob."""
    hop = NextHop(node="bob", weight=1.0)
    entries = [
        RouteEntry(
            source="alice",
            destination="bob",
            traffic_class=kind,
            next_hops=(hop,),
            rate_limit_bps=limit,
        )
        for kind, limit in limits.items()
    ]
    return RouteTable(node="alice", revision=revision, time_s=0.0, entries=tuple(entries))


def test_a_rate_of_nothing_lets_a_piece_pass_now_and_then() -> None:
    clock = Clock()
    forwarder = Forwarder("alice", {"alice": ["bob"]}, random.Random(1))
    assert forwarder.apply(table(1, any=0.0)).accepted
    limit = PlanLimits(forwarder, clock).of("bob", "bulk")
    piece_bytes = limit.piece_bytes(65_536)

    waits_s = [limit.take(piece_bytes) for _ in range(3)]

    assert waits_s[1] - waits_s[0] == pytest.approx(8 * piece_bytes / LEAST_BPS)


@given(
    st.lists(st.integers(1, 300_000), min_size=1, max_size=50),
    st.floats(1e4, 1e9),
    st.lists(st.floats(0.0, 5.0), min_size=50, max_size=50),
)
def test_no_more_than_the_rate_and_one_burst_goes(
    sizes: list[int], rate_bps: float, pauses_s: list[float]
) -> None:
    clock = Clock()
    bucket = Bucket(rate_bps, clock)
    start_s, sent = clock.now_s, 0
    for size, pause_s in zip(sizes, pauses_s, strict=False):
        clock.now_s += bucket.take(size)  # as the sender waits
        sent += size
        assert 8 * sent <= rate_bps * (clock.now_s - start_s + BURST_S) * (1 + 1e-9) + 1e-3
        clock.now_s += pause_s


def test_a_sender_that_never_rests_gets_all_of_the_rate() -> None:
    clock = Clock()
    bucket = Bucket(1e6, clock)
    for _ in range(100):
        clock.now_s += bucket.take(12_500)

    assert clock.now_s == pytest.approx(1000.0 + 100 * 12_500 * 8 / 1e6)


def test_the_plan_limits_each_class_and_classes_under_one_entry_together() -> None:
    clock = Clock()
    forwarder = Forwarder("alice", {"alice": ["bob"]}, random.Random(1))
    limits = PlanLimits(forwarder, clock)
    critical, bulk = limits.of("bob", "critical"), limits.of("bob", "bulk")
    assert critical.take(10**9) == bulk.take(10**9) == 0.0

    forwarder.apply(table(1, any=1e6))
    limits.follow()
    assert bulk.take(125_000) == pytest.approx(1.0)
    assert critical.take(125_000) == pytest.approx(2.0)

    forwarder.apply(table(2, critical=None, any=2e6))
    limits.follow()
    assert critical.take(10**9) == 0.0
    assert (critical.rate_bps, bulk.rate_bps) == (None, 2e6)


def test_a_tunnel_is_held_to_its_rate_in_both_directions() -> None:
    limited = replace(ECHO, rate_limit_bps=8e6)

    async def scene() -> None:
        async with asyncio.timeout(120), edge_net([("alice", "bob")], [limited]) as net:
            loop = asyncio.get_running_loop()
            user, _ = await connect(net.edges["alice"], limited)
            start_s = loop.time()
            assert await exchange(user, bytes(500_000)) == bytes(500_000)

            assert loop.time() - start_s >= 0.5 - 2 * BURST_S  # a busy machine takes longer
            assert net.edges["alice"].lines["t", True].rate_limit_bps() == 8e6

    asyncio.run(scene())


def test_an_edge_follows_the_rates_of_its_newest_table() -> None:
    async def scene() -> None:
        async with asyncio.timeout(120), edge_net([("alice", "bob")], [ECHO]) as net:
            alice = net.edges["alice"]
            user, _ = await connect(alice, ECHO)
            line = alice.lines["t", True]
            assert line.rate_limit_bps() is None
            assert alice.follow(table(1, any=8e6)).accepted
            assert line.rate_limit_bps() == 8e6
            assert await exchange(user, bytes(100_000)) == bytes(100_000)
            assert not alice.follow(table(1, any=1e6)).accepted
            assert line.rate_limit_bps() == 8e6

    asyncio.run(scene())
