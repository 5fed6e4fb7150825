"""Edges run from a network file: tunnels, routes and what they report."""

import asyncio
from pathlib import Path

import msgspec
from edge_net import until
from edge_sites import running
from scenes import play

from qnx_hw.api.traffic import TunnelState
from qnx_hw.bus.in_process import InProcessBus
from qnx_hw.bus.routes import NextHop, RouteAck, RouteEntry, RouteTable
from qnx_hw.bus.telemetry import NodeSample


def table(node: str, revision: int, hop: str) -> RouteTable:
    entry = RouteEntry(
        source="alice",
        destination="bob",
        traffic_class="any",
        next_hops=(NextHop(node=hop, weight=1.0),),
    )
    return RouteTable(node=node, revision=revision, time_s=0.0, entries=(entry,))


async def put(bus: InProcessBus, plan: RouteTable) -> RouteAck:
    async with bus.subscribe("qnx.ack.*") as answers:
        await bus.bucket("routes").put(plan.node, msgspec.json.encode(plan))
        return msgspec.json.decode((await answers.get()).payload, type=RouteAck)


def test_a_tunnel_takes_the_way_of_the_newest_sound_table(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as net:
            hops = net.sites["alice"].edge.hops.values()
            await until(lambda: all(hop.is_up for hop in hops))
            assert await net.ask(b"first") == b"FIRST"
            line = net.sites["alice"].edge.lines["web", True]
            for revision, hop in ((1, "carol"), (2, "dora"), (3, "carol")):
                answer = await put(net.bus, table("alice", revision, hop))
                assert (answer.node, answer.revision, answer.accepted) == ("alice", revision, True)
                assert await net.ask(b"way") == b"WAY"
                await until(lambda: not line.sessions)
                assert line.last_path == ("alice", hop, "bob")

            refused = await put(net.bus, table("alice", 4, "bob"))
            assert not refused.accepted
            assert "no neighbour" in refused.reason
            assert net.sites["alice"].edge.forwarder.table.revision == 3

    play(scene)


def test_a_site_that_starts_again_follows_its_last_good_table(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as net:
            await put(net.bus, table("alice", 7, "dora"))
        async with running(tmp_path) as net:
            assert net.sites["alice"].edge.forwarder.table.revision == 7
            answer = await put(net.bus, table("alice", 7, "dora"))
            assert answer.accepted

    play(scene)


def test_a_site_reports_its_hops_flows_and_tunnels(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as net:
            alice = net.sites["alice"]
            await until(lambda: all(hop.is_up for hop in alice.edge.hops.values()))
            assert await net.ask(b"x" * 100_000) == b"X" * 100_000
            async with net.bus.subscribe("qnx.telemetry.alice") as heard:
                await alice.reporter.report()
                sample = msgspec.json.decode((await heard.get()).payload, type=NodeSample)

            assert {hop.target: hop.is_up for hop in sample.hops} == {"carol": True, "dora": True}
            assert all(hop.delay_s for hop in sample.hops)
            (flow,) = sample.flows
            assert (flow.destination, flow.traffic_class) == ("bob", "bulk")
            assert flow.demand_bps > 0
            assert flow.key_draw_bps > 0
            assert {pool.peer for pool in sample.pools} == {"bob", "carol", "dora"}
            tunnel = next(each for each in alice.reporter.tunnels if each.name == "web")
            assert (tunnel.bytes_in, tunnel.bytes_out) == (100_000, 100_000)
            assert (tunnel.failures, tunnel.mode, tunnel.route[0]) == (0, "aes-256-gcm", "alice")

    play(scene)


def test_a_tunnel_without_key_shows_that_it_is_blocked(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as net, asyncio.TaskGroup() as tasks:
            net.keys.stock_bytes.clear()
            asking = tasks.create_task(net.ask(b"hello"))
            alice = net.sites["alice"]
            line = alice.edge.lines["web", True]
            await until(lambda: bool(line.message))
            await alice.reporter.report()

            tunnel = next(each for each in alice.reporter.tunnels if each.name == "web")
            assert tunnel.state is TunnelState.BLOCKED
            assert "no key" in tunnel.message
            net.keys.give("alice", "bob", 10_000)
            assert await asking == b"HELLO"

    play(scene)
