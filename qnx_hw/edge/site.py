"""A node's edge as the network file wants it: tunnels, files, streams, routes and telemetry."""

from __future__ import annotations

import logging
import random
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager, suppress
from functools import partial
from pathlib import Path

import msgspec

from qnx_hw.api.schema import Level
from qnx_hw.api.traffic import HopView, TunnelView
from qnx_hw.bus.interface import Bus
from qnx_hw.bus.routes import BUCKET, RouteAck
from qnx_hw.config import NetworkFile
from qnx_hw.edge.circuits import accepting, connecting, listen, split_address
from qnx_hw.edge.edge import Edge, Teller
from qnx_hw.edge.forwarding import Forwarder, decode_table
from qnx_hw.edge.hops import Hop
from qnx_hw.edge.keysource import KeySource
from qnx_hw.edge.reports import Reporter
from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import ChannelError, QnxError

log = logging.getLogger(__name__)

TABLE = "routes.json"
TUNNEL = "tunnel"


class Site:
    """One node's edge and what it does for users; `open_site` makes one."""

    def __init__(self, network: NetworkFile, node: str, edge: Edge, bus: Bus, folder: Path) -> None:
        self.node = node
        self.edge = edge
        self.address = ""
        """Where neighbours reach it; port 0 in the file becomes a free one."""
        self.tunnel_addresses: dict[str, str] = {}
        self.reporter = Reporter(edge, bus)
        self._network = network
        self._bus = bus
        self._folder = folder
        self._recalled = -1
        """The revision that was followed before this start."""
        edge.services[TUNNEL] = self._to_target
        for name, section in network.tunnels.items():
            edge.know(Traffic.of(name, TUNNEL, section))

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

    def _take_user(self, traffic: Traffic, user: socket.socket) -> None:
        self.edge.hold(user, self._carry(user, traffic))

    async def _carry(self, user: socket.socket, traffic: Traffic) -> None:
        try:
            session = await self.edge.open(traffic)
        except BaseException as error:
            _reset(user)
            if not isinstance(error, QnxError):
                raise
            log.info("%s: a connection of '%s' failed: %s", self.node, traffic.name, error)
            return
        finally:
            self.edge.held.discard(user)
        user.setblocking(True)
        session.start(user, is_opener=True)

    async def _to_target(self, traffic: Traffic) -> socket.socket:
        async with connecting(split_address(traffic.target)) as user:
            user.setblocking(True)
            return user

    async def _follow_routes(self) -> None:
        async with self._bus.bucket(BUCKET).watch(self.node) as tables:
            async for entry in tables:
                if entry.value is not None:
                    await self._apply(entry.value)

    async def _apply(self, octets: bytes) -> None:
        try:
            table = decode_table(octets)
        except msgspec.DecodeError as error:
            answer = RouteAck(node=self.node, revision=0, accepted=False, reason=str(error))
        else:
            if table.revision == self.edge.forwarder.table.revision == self._recalled:
                answer = RouteAck(node=self.node, revision=table.revision, accepted=True)
            else:
                answer = self.edge.forwarder.apply(table)
                if answer.accepted:
                    self._keep_table(octets)
        if not answer.accepted:
            self.edge.tell(Level.WARNING, self.node, f"routes refused: {answer.reason}")
        await self.reporter.acknowledge(answer)

    def _keep_table(self, octets: bytes) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        scratch = self._folder / f".{TABLE}"
        scratch.write_bytes(octets)
        scratch.replace(self._folder / TABLE)

    def _recall_table(self) -> None:
        """Follow the last good table until a newer one comes."""
        with suppress(OSError, msgspec.DecodeError):
            table = decode_table((self._folder / TABLE).read_bytes())
            if self.edge.forwarder.apply(table).accepted:
                self._recalled = table.revision


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
async def open_site(
    network: NetworkFile,
    node: str,
    *,
    source: KeySource,
    bus: Bus,
    folder: Path,
    tell: Teller,
) -> AsyncIterator[Site]:
    """Run a node's edge while the context lasts."""
    section = network.nodes[node].edge
    if section is None:
        raise ChannelError(f"node '{node}' has no [nodes.{node}.edge]")
    graph = {name: neighbours_of(network, name) for name in network.nodes}
    edge = Edge(
        node,
        hops={peer: _hop(network, node, peer) for peer in graph[node]},
        forwarder=Forwarder(node, graph, random.SystemRandom()),
        source=source,
        tell=tell,
        spans=section.spans,
    )
    site = Site(network, node, edge, bus, folder)
    async with edge.running(section.listen) as address:
        site.address = address
        with ExitStack() as users:
            site.start(users)
            yield site


def _hop(network: NetworkFile, node: str, peer: str) -> Hop:
    ours, theirs = network.nodes[node].edge, network.nodes[peer].edge
    assert ours is not None
    assert theirs is not None
    section = ours.hops.get(peer)
    address = section.address if section is not None and section.address else theirs.listen
    capacity_bps = section.capacity_bps if section is not None else 1e9
    return Hop(peer, split_address(address), capacity_bps)


def _reset(user: socket.socket) -> None:
    """Close so that the user sees a failure, not an empty answer."""
    user.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    user.close()
