"""A few edges on loopback, joined as a test wants, with an echoing user at the far end."""

import asyncio
import random
import socket
import threading
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache

import pytest
from common_keys import CommonKeys
from free_ports import free_port

from qnx_hw.edge.carrier import THREADED
from qnx_hw.edge.dialling import Vicinity
from qnx_hw.edge.edge import Edge
from qnx_hw.edge.engine import Engine
from qnx_hw.edge.forwarding import Forwarder
from qnx_hw.edge.hops import Hop
from qnx_hw.edge.keysource import KeySource
from qnx_hw.edge.neighbours import Neighbours
from qnx_hw.edge.session import Session
from qnx_hw.edge.traffic import Traffic

PUMPS = ("threads", "compiled", "crowd")
ALL_PUMPS = pytest.mark.parametrize("pump", PUMPS)
Lines = Iterable[tuple[str, str]]


class EdgeNet:
    """Running edges by name; every edge knows every traffic."""

    def __init__(
        self,
        neighbours: dict[str, list[str]],
        sources: dict[str, KeySource] | None = None,
        proofs: dict[str, Neighbours] | None = None,
        threaded: int = THREADED,
        engine: Engine | None = None,
    ) -> None:
        self.neighbours = neighbours
        self.proofs = proofs or {}
        self.threaded = threaded
        self.engine = engine
        self.keys = CommonKeys()
        self.sources = sources or {}
        self.events: list[str] = []
        self.ports = {name: free_port() for name in neighbours}
        self.edges: dict[str, Edge] = {}
        self.closing: dict[str, AsyncExitStack] = {}
        self.users: list[socket.socket] = []

    async def start(self, node: str, traffic: Iterable[Traffic]) -> Edge:
        hops = {
            peer: Hop(peer, ("127.0.0.1", self.ports[peer]), 1e9) for peer in self.neighbours[node]
        }
        forwarder = Forwarder(node, self.neighbours, random.Random(1))
        proofs = self.proofs.get(node)
        edge = self.edges[node] = Edge(
            node,
            around=Vicinity(hops, forwarder, proofs, threaded=self.threaded, engine=self.engine),
            source=self.sources.get(node) or self.keys.of(node),
            tell=lambda level, source, message, about="": self.events.append(
                f"{source}: {message}"
            ),
        )
        edge.services["echo"] = self._echo
        for each in traffic:
            edge.know(each)
        stack = self.closing[node] = AsyncExitStack()
        await stack.enter_async_context(edge.running(f"127.0.0.1:{self.ports[node]}"))
        return edge

    async def stop(self, node: str) -> None:
        await self.closing.pop(node).aclose()

    async def _echo(self, traffic: Traffic) -> socket.socket:
        ours, theirs = socket.socketpair()
        threading.Thread(target=_echo, args=(ours,), daemon=True).start()
        return theirs


@cache
def compiled() -> Engine:
    """Return an engine whose loops are loaded."""
    engine = Engine()
    engine.load()
    if engine.loops is None:
        pytest.skip("this system has no compiled loops")
    return engine


@asynccontextmanager
async def edge_net(
    lines: Lines,
    traffic: Iterable[Traffic],
    sources: dict[str, KeySource] | None = None,
    proofs: dict[str, Neighbours] | None = None,
    threaded: int = THREADED,
    pump: str = "threads",
) -> AsyncIterator[EdgeNet]:
    """`pump` is one of `PUMPS`; up to `threaded` sessions of a node have threads."""
    neighbours: dict[str, list[str]] = {}
    for one, other in lines:
        neighbours.setdefault(one, []).append(other)
        neighbours.setdefault(other, []).append(one)
    net = EdgeNet(
        neighbours,
        sources,
        proofs,
        0 if pump == "crowd" else threaded,
        compiled() if pump == "compiled" else None,
    )
    traffic = tuple(traffic)
    for each in traffic:
        net.keys.give(each.source, each.destination, 100_000)
    try:
        for node in neighbours:
            await net.start(node, traffic)
        yield net
    finally:
        for node in tuple(net.closing):
            await net.stop(node)


async def connect(edge: Edge, traffic: Traffic) -> tuple[socket.socket, Session]:
    """Open a session and return the user's end of it."""
    session = await edge.open(traffic)
    ours, theirs = socket.socketpair()
    session.start(theirs, is_opener=True)
    return ours, session


async def exchange(user: socket.socket, octets: bytes) -> bytes:
    """Send, end, and return all that comes back."""

    def send() -> None:
        user.sendall(octets)
        user.shutdown(socket.SHUT_WR)

    def receive() -> bytes:
        parts = []
        while part := user.recv(1 << 20):
            parts.append(part)
        return b"".join(parts)

    with user:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(asyncio.to_thread(send))
            receiving = tasks.create_task(asyncio.to_thread(receive))
    return receiving.result()


async def until(condition: Callable[[], bool]) -> None:
    """Wait for what threads or other tasks change."""
    while not condition():  # noqa: ASYNC110 (threads change what is looked at)
        await asyncio.sleep(0.01)


def _echo(user: socket.socket) -> None:
    with user:
        while part := user.recv(1 << 16):
            user.sendall(part)
        user.shutdown(socket.SHUT_WR)
