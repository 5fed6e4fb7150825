"""Five hosts with shaped wires between them: wires are cut, nodes killed, certificates wrong."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest
from edge_net import until
from five_hosts import NODES, FiveHosts, five_hosts
from hosts import CORE, missing

from qnx_hw.bus.nats_bus import NatsBus
from qnx_hw.bus.permissions import CONTROLLER
from qnx_hw.bus.telemetry import NodeSample
from qnx_hw.commands.door import at_the_door
from qnx_hw.edge.local import Reply
from qnx_hw.edge.parcels import Progress
from qnx_hw.errors import QnxError

pytestmark = [pytest.mark.slow, pytest.mark.system, pytest.mark.timeout(600)]

FILE_BYTES = 100_000_000
SMALL_BYTES = 1_000_000
CUT_AT, KILL_AT = FILE_BYTES // 4, FILE_BYTES * 2 // 3
DEADLINE_S = 250.0


class Observer:
    """Hears all telemetry, as the controller does."""

    def __init__(self, bus: NatsBus) -> None:
        self.bus = bus
        self.newest: dict[str, NodeSample] = {}
        self._heard = asyncio.Condition()

    async def listen(self) -> None:
        async with self.bus.subscribe("qnx.telemetry.*") as messages:
            async for message in messages:
                sample = msgspec.json.decode(message.payload, type=NodeSample)
                async with self._heard:
                    self.newest[sample.node] = sample
                    self._heard.notify_all()

    async def converged(self, nodes: set[str], after: int) -> int:
        """Wait until exactly these nodes follow one revision later than `after`; return it."""

        def same() -> bool:
            revisions = {self.newest[node].revision for node in nodes & self.newest.keys()}
            return nodes <= self.newest.keys() and len(revisions) == 1 and min(revisions) > after

        async with asyncio.timeout(DEADLINE_S), self._heard:
            await self._heard.wait_for(same)
            return next(iter(self.newest.values())).revision

    async def kept_whole(self, node: str, beyond: int) -> None:
        """Wait until the core keeps all that a node told up to a number, without a gap."""
        numbers: set[int] = set()
        after = 0
        async with asyncio.timeout(DEADLINE_S):
            while max(numbers, default=0) < beyond:
                await until(lambda: self.bus.is_up)
                with suppress(QnxError):
                    for entry in await self.bus.stream("telemetry").read(after=after):
                        after = entry.number
                        if entry.source == node:
                            numbers.add(msgspec.json.decode(entry.payload, type=NodeSample).number)
        assert numbers == set(range(1, max(numbers) + 1))


@pytest.fixture(name="five")
def _five(tmp_path: Path) -> Iterator[FiveHosts]:
    if reason := missing():
        pytest.skip(reason)
    with five_hosts(tmp_path) as five:
        yield five


@asynccontextmanager
async def observing(five: FiveHosts) -> AsyncIterator[Observer]:
    tls = five.core.tls(CONTROLLER)
    async with NatsBus.open(CONTROLLER, [five.core.url], tls) as bus, asyncio.TaskGroup() as tasks:
        observer = Observer(bus)
        listening = tasks.create_task(observer.listen())
        yield observer
        listening.cancel()


def test_five_hosts_carry_on_through_cuts_kills_and_strangers(five: FiveHosts) -> None:
    content = secrets.token_bytes(FILE_BYTES)

    async def scene() -> None:
        async with observing(five) as observer:
            five.start(*NODES)
            first = await observer.converged(set(NODES), after=0)

            killed = await asyncio.to_thread(send_through_trouble, five, content)
            assert await asyncio.to_thread(receive, five) == content
            second = await observer.converged(set(NODES) - {killed}, after=first)

            five.core.stop()
            await said(five, "alice", "the bus is away")
            await asyncio.to_thread(list, send(five, content[:SMALL_BYTES]))
            assert await asyncio.to_thread(receive, five) == content[:SMALL_BYTES]
            missed = observer.newest["alice"].number
            five.core.start()
            await observer.kept_whole("alice", beyond=missed + 2)

            observer.newest.pop(killed)
            before = len(five.said(killed))
            five.start(killed, file=five.with_other_certificates(killed))
            for words in ("the bus is away", "is down: the neighbour refused"):
                await said(five, killed, words, after=before)
            third = await observer.converged(set(NODES) - {killed}, after=second - 1)
            assert killed not in observer.newest
            assert " is up" not in five.said(killed)[before:]
            five.kill(killed)
            five.start(killed)
            await observer.converged(set(NODES), after=third - 1)

    with five.net.inside(CORE):
        asyncio.run(scene())


def send_through_trouble(five: FiveHosts, content: bytes) -> str:
    """Cut the wire of a file on its way to Bob, then kill its relay, whose name it returns."""
    cut: tuple[str, str] | None = None
    killed = ""
    for progress in send(five, content):
        if cut is None and progress.sent_bytes > CUT_AT:
            cut = progress.route[0], progress.route[1]
            five.net.cut(*cut)
        elif cut and not killed and progress.sent_bytes > KILL_AT:
            assert cut not in pairwise(progress.route)
            five.net.mend(*cut)
            killed = progress.route[1]
            five.kill(killed)
    assert killed
    assert killed not in progress.route
    return killed


def send(five: FiveHosts, content: bytes) -> Iterator[Progress]:
    """Send a file from Alice to Bob; yield how far it is until it arrived."""
    wishes = {"what": "send", "file": "a.bin", "size": len(content), "destination": "bob"}
    with five.net.inside("alice"), at_the_door(five.file, "alice", **wishes) as at:
        at.circuit.sendall(content)
        at.answer(Reply)
        while True:
            progress = at.answer(Progress)
            yield progress
            if progress.state == "arrived":
                return


def receive(five: FiveHosts) -> bytes:
    with five.net.inside("bob"):
        with at_the_door(five.file, "bob", what="list") as at:
            (parcel,) = at.answer(Reply).parcels
        with at_the_door(five.file, "bob", what="take", name=parcel.name) as at:
            content = at.answers.read(at.answer(Reply).size)
            at.circuit.sendall(b"+")
            assert not at.answers.read()  # then the node has forgotten it
    return content


async def said(five: FiveHosts, node: str, words: str, *, after: int = 0) -> None:
    """Wait until a node said something, from a place in its log on."""
    async with asyncio.timeout(DEADLINE_S):
        await until(lambda: words in five.said(node)[after:])
