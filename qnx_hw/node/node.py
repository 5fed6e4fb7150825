"""One node: its key store, its instruments, its door, and its ends of links."""

from __future__ import annotations

import asyncio
import logging
import os
from abc import abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from functools import partial
from types import MappingProxyType
from typing import Protocol

from qnx_hw.api.schema import InstrumentView, NodeView
from qnx_hw.api.teller import Teller
from qnx_hw.bus.interface import Bus
from qnx_hw.config import NetworkFile
from qnx_hw.edge.engine import Engine
from qnx_hw.edge.forwarding import ANY
from qnx_hw.edge.site import Site, Surroundings, open_site
from qnx_hw.errors import ConfigError, Unsupported
from qnx_hw.instruments.values import PulseScore
from qnx_hw.keys import KeyStore, Kme, initial
from qnx_hw.keys.delivery.acks020 import Acknowledgements
from qnx_hw.keys.relay import Relay, RelayedBlocks
from qnx_hw.keys.signing import SigningKeys, keys_for
from qnx_hw.keys.vault import open_vault
from qnx_hw.node.bank import Bank, Mounted
from qnx_hw.node.cores import Cores
from qnx_hw.node.door import DialedWay, Doorman, OpenedWay, Way
from qnx_hw.node.edge_keys import KmeSource
from qnx_hw.node.ends import ends_of, graph_of, key_ends, relay_settings, relayed_ends
from qnx_hw.node.keeping import Keeper
from qnx_hw.node.key_service import TlsWire, delivering, has_own_way, receiving_peers
from qnx_hw.node.key_watch import KeyWatch
from qnx_hw.node.key_wire import SUFFIX, KeyWire
from qnx_hw.node.known_neighbours import known_neighbours
from qnx_hw.node.loop_seat import LoopSeat
from qnx_hw.node.loops import make_loops
from qnx_hw.node.peer_link import Greeting, listening
from qnx_hw.node.pools import Pools
from qnx_hw.node.station import Place, Station
from qnx_hw.node.tags import TagFeed
from qnx_hw.node.window_loop import SetWindow, window_of_both
from qnx_hw.qkd.pulses import Score
from qnx_hw.qkd.roles import Role
from qnx_hw.timing.archive import Origin

log = logging.getLogger(__name__)

POOL_CAPACITY_BITS = 100_000_000
"""What a full pool is drawn as; the store itself has no such limit."""


class Instruments(Protocol):
    """What fills a node's feeds."""

    @abstractmethod
    def views(self) -> tuple[InstrumentView, ...]:
        """Return how the instruments are, without asking them."""

    @abstractmethod
    def mounted(self, name: str) -> Mounted:
        """Return one instrument to talk to; `Unsupported` where there is none behind the tags."""

    @abstractmethod
    def score(self, transmitter: str) -> Score | None:
        """Return what a session's pulses were chosen by; None where it is to draw that."""

    @abstractmethod
    async def play(self, transmitter: str, score: PulseScore) -> None:
        """Have a transmitter play."""

    @abstractmethod
    async def run(self) -> None:
        """Keep the instruments until cancelled."""


class MakeInstruments(Protocol):
    """How a node gets its instruments; `Bank` is one."""

    @abstractmethod
    def __call__(
        self, network: NetworkFile, node: str, feeds: Mapping[str, TagFeed], tell: Teller
    ) -> Instruments:
        """Return the instruments of a node that fill `feeds`."""


class Node:
    """A site as this process hosts it; `open` makes one."""

    def __init__(  # noqa: PLR0913 -- what a node stands on, each by name
        self,
        network: NetworkFile,
        name: str,
        store: KeyStore,
        tell: Teller,
        instruments: MakeInstruments = Bank,
        set_window: SetWindow = window_of_both,
        *,
        signing: Mapping[str, SigningKeys | None] = MappingProxyType({}),
    ) -> None:
        self.name = name
        self.store = store
        self._signing = signing
        self.stations: dict[str, Station] = {}
        self._section = network.nodes[name]
        self.feeds: dict[str, TagFeed] = {}
        """By the name of the tagger that fills it."""
        self.on_played: Callable[[str, PulseScore], object] | None = None
        """Called with what a transmitter is about to play; must return at once."""
        self._running: list[asyncio.Task[None]] = []
        self._opened: dict[str, OpenedWay] = {}
        self._wires: list[KeyWire | TlsWire] = []
        self.kme = Kme(
            name, store.issued, {**key_ends(network, name), **relayed_ends(network, name)}
        )
        self._acks = Acknowledgements()
        self._relay = self._make_relay(network)
        links = ends_of(network, name)
        self._cores = Cores(min(len(links), (os.cpu_count() or 1) - 1))
        self._key_watch = KeyWatch(self.kme, network.keys.warn_below_bits, tell)
        self.pools = Pools(self.kme, POOL_CAPACITY_BITS, network.keys.reserve_bits)
        for link, role in links:
            self._add_station(network, link, role, tell)
        self.site: Site | None = None
        """The node's edge; None where it carries no user traffic."""
        self._bank = instruments(network, name, self.feeds, tell)
        self._loops = make_loops(network, name, self.stations, self.feeds, set_window, tell)
        self.loops: list[LoopSeat] = [each.seat for each in self._loops]

    @classmethod
    @asynccontextmanager
    async def open(
        cls,
        network: NetworkFile,
        name: str,
        tell: Teller,
        instruments: MakeInstruments = Bank,
        *,
        bus: Bus | None = None,
        set_window: SetWindow = window_of_both,
    ) -> AsyncIterator[Node]:
        """Open the node's key store and listen for peers; leaving stops all and closes it.

        User traffic is carried where there is a `bus` to hear of routes. `set_window` changes a
        coincidence window, where a loop wants to.
        """
        folder = network.folder_of(name)
        with KeyStore(folder) as store:
            signing = {}
            for link, _ in ends_of(network, name):
                if network.links[link].security.first_session == "ml-dsa":
                    signing[link] = keys_for(store, folder, link)
                elif not initial.adopt(store, folder, link):
                    raise ConfigError(
                        f"node '{name}' shares no initial secret for link '{link}' yet; "
                        f"make one with `qnx keys init FILE`"
                    )
            node = cls(network, name, store, tell, instruments, set_window, signing=signing)
            async with (
                listening(node._section.listen) as listener,
                delivering(network, node.kme, tell),
                receiving_peers(network, node.kme, tell, node._acks),
                node._edge(network, bus, tell) as node.site,
                asyncio.TaskGroup() as tasks,
            ):
                node._running = [
                    tasks.create_task(Doorman(name, node._opened).serve(listener)),
                    tasks.create_task(node._bank.run()),
                    tasks.create_task(node.kme.run()),
                    tasks.create_task(node._relay.run()),
                    tasks.create_task(node._key_watch.run()),
                    tasks.create_task(node.pools.run()),
                    *(tasks.create_task(wire.run()) for wire in node._wires),
                    *(tasks.create_task(station.run()) for station in node.stations.values()),
                    *node._start_loops(tasks),
                ]
                try:
                    yield node
                finally:
                    node.stop()

    @asynccontextmanager
    async def _edge(
        self, network: NetworkFile, bus: Bus | None, tell: Teller
    ) -> AsyncIterator[Site | None]:
        if bus is None or self._section.edge is None:
            yield None
            return
        source = KmeSource(self.kme, POOL_CAPACITY_BITS)
        folder = network.folder_of(self.name) / "edge"
        vault = open_vault(folder / "edge.key", may_create=True)
        around = Surroundings(
            source=source,
            bus=bus,
            folder=folder,
            sealer=vault,
            tell=tell,
            neighbours=known_neighbours(network, self.name, tell),
            engine=Engine(),
        )
        async with open_site(network, self.name, around) as site:
            site.edge.start(source.run())
            yield site

    def stop(self) -> None:
        """Begin to stop; leaving `open` waits for the end of it."""
        for task in self._running:
            task.cancel()
        self._cores.close()

    async def play(self, transmitter: str, score: PulseScore) -> None:
        """Have a transmitter play, and tell whoever records that it does."""
        await self._bank.play(transmitter, score)
        if self.on_played is not None:
            self.on_played(transmitter, score)

    def view(self) -> NodeView:
        """Return how the node is."""
        return NodeView(
            name=self.name,
            is_online=True,
            position=self._section.position,
            pool_bits=sum(station.report().pool_bits for station in self.stations.values()),
            pool_capacity_bits=POOL_CAPACITY_BITS,
            instruments=self._bank.views(),
        )

    def _make_relay(self, network: NetworkFile) -> Relay:
        blocks, settings = RelayedBlocks(self.store), relay_settings(network.keys)
        return Relay(self.kme, blocks, graph_of(network), settings, self._advice, self._level)

    def _advice(self, peer: str) -> list[str]:
        """Return the neighbours by which the routing controller sends to a peer, best first."""
        if self.site is None:
            return []
        for stock in self.site.edge.forwarder.table.stocks:
            if stock.peer == peer and stock.by:
                return list(stock.by)
        entry = self.site.edge.forwarder.entry(self.name, peer, ANY)
        hops = entry.next_hops if entry is not None else ()
        return [hop.node for hop in sorted(hops, key=lambda hop: -hop.weight)]

    def _level(self, peer: str) -> int:
        """Return how much relayed key the controller expects to be drawn with a peer."""
        stocks = self.site.edge.forwarder.table.stocks if self.site is not None else ()
        return next((stock.bits for stock in stocks if stock.peer == peer), 0)

    def _start_loops(self, tasks: asyncio.TaskGroup) -> list[asyncio.Task[None]]:
        """Run the loops whose instruments are here; a recording's cannot be moved."""
        started = []
        for runner in self._loops:
            with suppress(Unsupported):
                mounted = [self._bank.mounted(name) for name in runner.plan.instruments]
                started.append(tasks.create_task(runner.run(mounted)))
        return started

    def origin(self, instrument: str) -> Origin:
        """Return where a tagger's blocks come from, for a recording."""
        view = next(view for view in self._bank.views() if view.name == instrument)
        return Origin(
            node=self.name,
            instrument=instrument,
            model=view.model,
            serial=view.serial,
            is_simulated=view.is_simulated,
        )

    def instrument(self, name: str) -> Mounted:
        """Return one of the node's instruments; `KeyError` where there is none of this name."""
        return self._bank.mounted(name)

    def _add_station(self, network: NetworkFile, link: str, role: Role, tell: Teller) -> None:
        section = network.links[link]
        ours, theirs = getattr(section, role.value), getattr(section, role.peer.value)
        feed = TagFeed(ours.channels.inputs)
        if ours.tagger in self.feeds:
            raise ConfigError(f"tagger '{ours.tagger}' of node '{self.name}' serves two links")
        if ours.tagger:
            self.feeds[ours.tagger] = feed
        way = self._way(network, link, role, link)
        self._wires.append(self._wire(network, link, role, theirs.node))
        url = self._section.instruments[ours.tagger or ours.transmitter].url
        is_simulated = network.is_simulated(url)
        keeper = Keeper(
            self.store,
            link,
            section,
            role,
            is_simulated=is_simulated,
            hands=self._cores,
            signing=self._signing.get(link),
            score=lambda: self._bank.score(ours.transmitter) if ours.transmitter else None,
        )
        self.stations[link] = Station(
            Place(link, role, section),
            way,
            feed,
            keeper,
            tell,
            partial(self.play, ours.transmitter),
        )

    def _wire(self, network: NetworkFile, link: str, role: Role, peer: str) -> KeyWire | TlsWire:
        """Return what keeps the key manager in touch with a peer's."""
        section = network.nodes[peer].kme
        if has_own_way(network, self.name, peer) and section and section.peers:
            return TlsWire(network, self.kme, peer, section.peers, link, self._acks)
        way = self._way(network, link, role, link + SUFFIX)
        return KeyWire(self.kme, peer, role, way, partial(self.store.channel_key, link), link)

    def _way(self, network: NetworkFile, link: str, role: Role, name: str) -> Way:
        """Return the way to a link's peer for the conversation called `name`."""
        signing = self._signing.get(link)
        identity = signing.identity if signing else self.store.initial_identity(link)
        greeting = Greeting(link=name, node=self.name, secret_identity=identity)
        if role is Role.ALICE:
            peer = network.links[link].bob.node
            return DialedWay(network.nodes[peer].listen, greeting)
        return self._opened.setdefault(name, OpenedWay(greeting))
