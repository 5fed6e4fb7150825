"""Sites joined by NATS: routes come, telemetry goes, and both survive the loss of the core."""

import asyncio
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import pytest
from edge_net import until
from edge_sites import running
from nats_core import NatsCore, nats_core

from qnx_hw.bus.interface import Bus
from qnx_hw.bus.nats_bus import NatsBus
from qnx_hw.bus.permissions import CONTROLLER
from qnx_hw.bus.routes import NextHop, RouteEntry, RouteTable
from qnx_hw.bus.telemetry import NodeSample

CHAIN = {"alice": ["carol"], "carol": ["alice", "bob"], "bob": ["carol"]}


@pytest.fixture
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsCore]:
    with nats_core(tmp_path_factory.mktemp("core")) as made:
        yield made


def table(revision: int) -> bytes:
    entry = RouteEntry(
        source="alice",
        destination="bob",
        traffic_class="any",
        next_hops=(NextHop(node="carol", weight=1.0),),
    )
    return msgspec.json.encode(
        RouteTable(node="alice", revision=revision, time_s=0.0, entries=(entry,))
    )


async def samples(controller: Bus) -> list[int]:
    stored = await controller.stream("telemetry").read(limit=1000)
    found = [msgspec.json.decode(each.payload, type=NodeSample) for each in stored]
    return [sample.number for sample in found if sample.node == "alice"]


@pytest.mark.slow
def test_routes_and_telemetry_survive_the_loss_of_the_core(core: NatsCore, tmp_path: Path) -> None:
    async def scene() -> None:
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            buses: dict[str, NatsBus] = {}
            for name in (CONTROLLER, *CHAIN):
                opening = NatsBus.open(name, [core.url], core.tls(name))
                buses[name] = await stack.enter_async_context(opening)
            await until(lambda: all(bus.is_up for bus in buses.values()))
            net = await stack.enter_async_context(running(tmp_path, CHAIN, buses=dict(buses)))
            alice, controller = net.sites["alice"], buses[CONTROLLER]
            routes = controller.bucket("routes")

            await routes.put("alice", table(1))
            await until(lambda: alice.edge.forwarder.table.revision == 1)
            await alice.reporter.report()
            core.stop()
            await until(lambda: not buses["alice"].is_up and not controller.is_up)
            for _ in range(3):
                await alice.reporter.report()
            assert await net.ask(b"on") == b"ON"

            core.start()
            await until(lambda: all(bus.is_up for bus in buses.values()))
            await routes.put("alice", table(2))
            await until(lambda: alice.edge.forwarder.table.revision == 2)
            await alice.reporter.report()
            numbers = await samples(controller)
            assert numbers == list(range(1, len(numbers) + 1))
            assert len(numbers) >= 5

    asyncio.run(scene())
