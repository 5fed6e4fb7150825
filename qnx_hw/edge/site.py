"""A node's edge as the network file wants it: tunnels, files, streams, routes and telemetry."""

from __future__ import annotations

import logging
import random
import socket
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.api.traffic import HopView, TunnelView
from qnx_hw.bus.interface import Bus
from qnx_hw.bus.routes import BUCKET, RouteAck
from qnx_hw.config import NetworkFile
from qnx_hw.edge.circuits import accepting, connecting, listen, split_address
from qnx_hw.edge.dialling import Vicinity
from qnx_hw.edge.edge import Edge
from qnx_hw.edge.engine import Engine
from qnx_hw.edge.forwarding import Forwarder, decode_table
from qnx_hw.edge.hops import Hop
from qnx_hw.edge.keysource import KeySource
from qnx_hw.edge.local import Door
from qnx_hw.edge.neighbours import Neighbours
from qnx_hw.edge.parcels import PostOffice, traffic_between
from qnx_hw.edge.reports import Reporter
from qnx_hw.edge.sealed_file import Sealer
from qnx_hw.edge.session import Session
from qnx_hw.edge.spool import SpoolRoom
from qnx_hw.edge.streams import SERVICE as STREAM
from qnx_hw.edge.streams import StreamSink, StreamSource
from qnx_hw.edge.tcp import reset
from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import UNREADABLE, ChannelError, QnxError

log = logging.getLogger(__name__)

TABLE = "routes.json"
TUNNEL = "tunnel"
TARGET_DEADLINE_S = 10.0
"""How long a tunnel's target may take to answer; its user waits."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a site is given by its node."""

    source: KeySource
    bus: Bus
    folder: Path
    """For what must outlive the process: the last routes, files on their way."""
    sealer: Sealer
    tell: Teller
    neighbours: Neighbours | None = None
    """Without it, whoever reaches the edge's port is taken for a neighbour."""
    engine: Engine | None = None
    """Without it, users' data is carried without compiled loops."""


class Site:
    """One node's edge and what it does for users; `open_site` makes one."""

    def __init__(self, network: NetworkFile, edge: Edge, around: Surroundings) -> None:
        node = edge.node
        section = network.nodes[node].edge
        assert section is not None
        self.node = node
        self.edge = edge
        self.address = ""
        """Where neighbours reach it; port 0 in the file becomes a free one."""
        self.tunnel_addresses: dict[str, str] = {}
        self.reporter = Reporter(edge, around.bus)
        self._network = network
        self._bus = around.bus
        self._folder = around.folder
        self._recalled = -1
        self._follows = False
        """The revision that was followed before this start."""
        edge.services[TUNNEL] = self._to_target
        for name, tunnel in network.tunnels.items():
            edge.know(Traffic.of(name, TUNNEL, tunnel))
        edge.spools = SpoolRoom(around.folder / "spool", section.queue_bytes, section.queue_age_s)
        self.post_office = PostOffice(edge, around.folder, around.sealer, section.queue_bytes)
        for peer, other in network.nodes.items():
            if peer != node and other.edge is not None:
                edge.know(traffic_between(peer, node))
        self.sources: dict[str, StreamSource] = {}
        self.sinks: dict[str, StreamSink] = {}
        for name, stream in network.streams.items():
            edge.know(Traffic.of(name, STREAM, stream))
            if stream.source == node:
                self.sources[name] = StreamSource(edge, name, stream, section.queue_bytes)
            elif stream.destination == node:
                self.sinks[name] = StreamSink(edge, stream.steps)
        edge.services[STREAM] = self._to_sink
        self.door = Door(self, around.folder, edge.start)

    def views(self) -> tuple[TunnelView | HopView, ...]:
        """Return what screens see, as of the newest report."""
        return *self.reporter.tunnels, *self.reporter.hops

    def start(self, users: ExitStack) -> None:
        """Follow routes, report, and listen for users until `users` is closed."""
        self._recall_table()
        for name, section in self._network.tunnels.items():
            if section.source == self.node:
                traffic = Traffic.of(name, TUNNEL, section)
                self.edge.line(traffic, is_opener=True)
                listener = listen(section.listen)
                host, port = listener.getsockname()[:2]
                self.tunnel_addresses[name] = f"{host}:{port}"
                users.enter_context(accepting(listener, partial(self._take_user, traffic)))
        self.edge.start(self._follow_routes())
        self.edge.start(self.reporter.run())
        for source in self.sources.values():
            self.edge.start(source.run())
        self.post_office.resume()

    def _take_user(self, traffic: Traffic, user: socket.socket) -> None:
        self.edge.hold(user, self._carry(user, traffic))

    async def _carry(self, user: socket.socket, traffic: Traffic) -> None:
        with ExitStack() as stack:
            stack.callback(reset, user)
            stack.callback(self.edge.held.discard, user)
            try:
                session = await self.edge.open(traffic)
            except QnxError as error:
                log.info("%s: a connection of '%s' failed: %s", self.node, traffic.name, error)
                return
            stack.pop_all()
        self.edge.held.discard(user)
        session.start(user, is_opener=True)

    async def _to_target(self, traffic: Traffic) -> socket.socket:
        async with connecting(split_address(traffic.target), TARGET_DEADLINE_S) as user:
            user.setblocking(True)
            return user

    async def _to_sink(self, traffic: Traffic) -> socket.socket:
        return await self.sinks[traffic.name].accept(traffic)

    async def _follow_routes(self) -> None:
        async with self._bus.bucket(BUCKET).watch(self.node) as tables:
            async for entry in tables:
                if entry.value is not None:
                    await self._apply(entry.value)

    async def _apply(self, octets: bytes) -> None:
        try:
            table = decode_table(octets)
        except UNREADABLE as error:
            answer = RouteAck(node=self.node, revision=0, accepted=False, reason=str(error))
        else:
            if table.revision == self.edge.forwarder.table.revision == self._recalled:
                answer = RouteAck(node=self.node, revision=table.revision, accepted=True)
            else:
                answer = self.edge.follow(table)
                if answer.accepted:
                    self._keep_table(octets)
        if not answer.accepted:
            words = f"routes refused: {answer.reason}"
            self.edge.tell(Level.WARNING, self.node, words, "routes")
        elif not self._follows:
            words = f"follows the routes of revision {answer.revision}"
            self.edge.tell(Level.INFO, self.node, words, "routes")
        self._follows = answer.accepted
        await self.reporter.acknowledge(answer)

    def _keep_table(self, octets: bytes) -> None:
        scratch = self._folder / f".{TABLE}"
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
            scratch.write_bytes(octets)
            scratch.replace(self._folder / TABLE)
        except OSError as error:  # it is followed all the same; the next one may be kept
            log.warning("%s: these routes are not kept for a new start: %s", self.node, error)

    def _recall_table(self) -> None:
        """Follow the last good table until a newer one comes."""
        with suppress(OSError, msgspec.DecodeError):
            table = decode_table((self._folder / TABLE).read_bytes())
            if self.edge.follow(table).accepted:
                self._recalled = table.revision

    async def through(self, name: str) -> Session:
        """Open a session of a tunnel for a local user; `QnxError` where it does not begin here."""
        tunnel = self._network.tunnels.get(name)
        if tunnel is None or tunnel.source != self.node:
            known = [each for each, at in self._network.tunnels.items() if at.source == self.node]
            raise ChannelError(
                f"no tunnel '{name}' begins at '{self.node}'; there is {', '.join(known) or 'none'}"
            )
        return await self.edge.open(Traffic.of(name, TUNNEL, tunnel))


def neighbours_of(network: NetworkFile, node: str) -> list[str]:
    """Return the nodes to which a node's edge has a way."""
    section = network.nodes[node].edge
    if section is None:
        return []
    if section.hops:
        return list(section.hops)
    joined = [
        link.bob.node if link.alice.node == node else link.alice.node
        for link in network.links.values()
        if node in (link.alice.node, link.bob.node)
    ]
    return [peer for peer in dict.fromkeys(joined) if network.nodes[peer].edge is not None]


@asynccontextmanager
async def open_site(network: NetworkFile, node: str, around: Surroundings) -> AsyncIterator[Site]:
    """Run a node's edge while the context lasts."""
    section = network.nodes[node].edge
    if section is None:
        raise ChannelError(f"node '{node}' has no [nodes.{node}.edge]")
    graph = {name: neighbours_of(network, name) for name in network.nodes}
    edge = Edge(
        node,
        around=Vicinity(
            hops={peer: _hop(network, node, peer) for peer in graph[node]},
            forwarder=Forwarder(node, graph, random.SystemRandom()),
            neighbours=around.neighbours,
            spans=section.spans,
            engine=around.engine,
        ),
        source=around.source,
        tell=around.tell,
    )
    site = Site(network, edge, around)
    async with edge.running(section.listen) as address:
        site.address = address
        with ExitStack() as users:
            site.start(users)
            async with site.door.listening():
                yield site


def _hop(network: NetworkFile, node: str, peer: str) -> Hop:
    ours, theirs = network.nodes[node].edge, network.nodes[peer].edge
    assert ours is not None
    assert theirs is not None
    section = ours.hops.get(peer)
    address = section.address if section is not None and section.address else theirs.listen
    capacity_bps = section.capacity_bps if section is not None else 1e9
    return Hop(peer, split_address(address), capacity_bps)
