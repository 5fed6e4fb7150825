"""The key manager of a node: gives keys that the peer's key manager holds too, each once.

How it thinks: a node allocates from its own direction of a link only, so two key managers never
compete for a bit. What it allocates is gone from its store before the peer hears of it, and is
given to the caller only after the peer has it on disk. Whatever fails in between costs the bits
and nothing else. A peer is attended while a way to it is open; before anything else the two
compare how far each ledger was used, so that neither goes back behind what the other remembers.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from qnx_hw.errors import AuthenticationError, ChannelError, Conflict, KeyExhausted, KeyNotFound
from qnx_hw.keys import names
from qnx_hw.keys.desk import Desk, LinkEnd
from qnx_hw.keys.envelope import pad_bytes, seal, unseal
from qnx_hw.keys.ledger import KEYS, TAKEN, Allotment, NamedKeys, Order, Stock, Wish
from qnx_hw.keys.links import Links
from qnx_hw.keys.messages import (
    MOST_KEYS,
    Arrived,
    Carry,
    Deliver,
    Done,
    Fetched,
    Forward,
    Join,
    Joined,
    Lost,
    Meet,
    Peer,
    Refused,
    Reply,
    Request,
    Reserve,
    SetAside,
)
from qnx_hw.keys.storage import Storage
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

KEY_TTL_S = 24 * 3600.0
EXPIRY_INTERVAL_S = 60.0
FETCHED_INTERVAL_S = 1.0
"""How often the peer is told how many keys were fetched, where nothing else is said."""
PING_INTERVAL_S = 3.0
"""A peer is asked something at least so often, so that a wire that fell silent is noticed."""


def consumer_at(node: str) -> str:
    """Return the holder's name for a node's own use, which no SAE can have: it has a space."""
    return f"node {node}"


class Relaying(Protocol):
    """What a node does for keys between nodes without a common link."""

    @abstractmethod
    async def answer(self, peer: str, request: Carry | Forward | Lost | Arrived) -> Reply:
        """Take a message; `Conflict`, `KeyExhausted` or `AuthenticationError` refuse it."""


class Streaming(Protocol):
    """What a node knows of the streams that applications at it opened."""

    @abstractmethod
    def join(self, peer: str, request: Join) -> Joined:
        """Say what a stream is that an application at `peer` opens, and whether it is open here."""


class Kme:
    """The key manager of one node; all methods belong to the event loop's thread.

    Links of this node are given by the peer at their other end. `is_holder` says whether a name
    may fetch keys here, and whether it may receive simulated ones.
    """

    def __init__(
        self,
        node: str,
        storage: Storage,
        ends: Mapping[str, LinkEnd | tuple[LinkEnd, ...]],
        now: Callable[[], float] = time.time,
    ) -> None:
        self.node = node
        self._storage = storage
        self._now = now
        self._links = {
            peer: Links(peer, given if isinstance(given, tuple) else (given,), storage)
            for peer, given in ends.items()
        }
        self.relay: Relaying | None = None
        """Takes what concerns relays; None where this node has no part in any."""
        self.streams: Streaming | None = None
        """Knows the streams of applications here; None where none are served."""

    @property
    def peers(self) -> tuple[str, ...]:
        """The nodes at the other ends of this node's links."""
        return tuple(self._links)

    @property
    def relayed_peers(self) -> tuple[str, ...]:
        """The nodes without a common link."""
        return tuple(peer for peer in self._links if self.end(peer).is_relayed)

    def end(self, peer: str) -> LinkEnd:
        """Return this node's end of the first link to a peer."""
        return self._links_to(peer).desks[0].end

    def links(self, peer: str) -> tuple[str, ...]:
        """Return the names of all links to a peer."""
        return tuple(desk.end.link for desk in self._links_to(peer).desks)

    def is_connected(self, peer: str) -> bool:
        """Whether keys shared with a peer can be had now."""
        return peer in self._links and self._links[peer].is_reachable.is_set()

    async def connected(self, peer: str) -> None:
        """Wait until keys shared with a peer can be had."""
        await self._links_to(peer).is_reachable.wait()

    async def get(self, peer: str, n_bits: int, number: int = 1) -> list[tuple[str, Secret]]:
        """Return new keys that the node `peer` can fetch by their names, `get_by_id` there.

        Both nodes have them on disk as taken before this returns. `KeyExhausted` where the stock
        is too small, `ChannelError` where the peer is away: what was taken by then is lost.
        """
        keys = await self.reserve(
            peer,
            Wish(n_bits, number),
            master=consumer_at(self.node),
            holders=(consumer_at(peer),),
        )
        return [(key.key_id, key.secret) for key in keys]

    async def get_by_id(self, peer: str, key_ids: Sequence[str]) -> list[Secret]:
        """Return the keys of these names that `peer` got, all or none; they are gone afterwards.

        `KeyNotFound` for a name that is unknown, fetched before or expired.
        """
        return await self.take(consumer_at(self.node), consumer_at(peer), key_ids)

    async def stock_bits(self, peer: str) -> int:
        """Return how many bits this node can still allocate for keys shared with `peer`."""
        return await self.spare_bits(peer)

    async def spare_bits(self, peer: str, keep_bits: int = 0) -> int:
        """Return how much of it there is where `keep_bits` stay on each link."""
        return await self._links_to(peer).spare_bits(keep_bits)

    async def stock(self, peer: str) -> Stock:
        """Return how much the links to `peer` hold here."""
        return await self._links_to(peer).stock()

    async def take_pad(self, peer: str, n_bytes: int) -> tuple[int, Secret]:
        """Return one-time pad for data to `peer`, and the offset by which it finds the same.

        Offsets of a link only grow. A lost connection to the peer's key manager gives up what was
        set aside.
        """
        return await self._links_to(peer).take_pad(n_bytes)

    async def take_pad_at(self, peer: str, offset: int, n_bytes: int) -> Secret:
        """Return the pad that `peer` took at `offset`, once.

        `Conflict` where it was taken before, `KeyExhausted` where it was never set aside here.
        """
        return await self._links_to(peer).take_pad_at(offset, n_bytes)

    async def reserve(
        self,
        peer: str,
        wish: Wish,
        *,
        master: str,
        holders: tuple[str, ...],
        ttl_s: float = KEY_TTL_S,
    ) -> NamedKeys:
        """Take new keys that `holders` at `peer` may each fetch once; both ends durable."""
        if wish.n_bits < 8 or wish.n_bits % 8 or not 1 <= wish.number <= MOST_KEYS:
            raise ValueError(f"{wish.number} keys of {wish.n_bits} bits cannot be cut")
        parts = [
            await self._reserve(desk, part, master, holders, ttl_s)
            for desk, part in await self._links_to(peer).spread(wish)
        ]
        if len(parts) == 1:
            return parts[0]
        key_ids = tuple(name for part in parts for name in part.key_ids)
        return NamedKeys(key_ids, Secret(b"".join(part.octets.reveal() for part in parts)))

    async def share(
        self, peers: Mapping[str, tuple[str, ...]], keys: NamedKeys, order: Order
    ) -> None:
        """Bring keys that were reserved with one peer to holders at other nodes, or at this one.

        `order` says whose keys they are and until when. Durable there when this returns; where it
        raises, some may have them, but the master must not.
        """
        for peer, holders in peers.items():
            octets = Secret(keys.octets.reveal())
            named = dataclasses.replace(order, holders=holders, runs=())
            if peer == self.node:
                await self._storage.keep(f"{self.node}~", named, octets)
            else:
                await self._deliver(peer, named, octets)

    async def _deliver(self, peer: str, order: Order, octets: Secret) -> None:
        if (await self.stock(peer)).is_simulated and not order.may_be_simulated:
            raise KeyExhausted(f"what is shared with '{peer}' comes from simulated instruments")
        offset, pad = await self.take_pad(peer, pad_bytes(len(octets)))
        about = msgspec.json.encode((order, offset))
        sealed, mark = seal(pad, octets, about)
        octets.wipe()
        await self.ask(peer, Deliver(self.end(peer).link, order, offset, sealed, mark))

    async def _receive(self, peer: str, parcel: Deliver) -> None:
        about = msgspec.json.encode((parcel.order, parcel.offset))
        pad = await self.take_pad_at(peer, parcel.offset, pad_bytes(len(parcel.sealed)))
        octets = unseal(pad, parcel.sealed, parcel.mark, about)
        await self._storage.keep(parcel.link, parcel.order, octets)

    async def ask(self, peer: str, request: Request) -> Reply:
        """Return when a peer has done it; `ChannelError` where that is not certain."""
        links = self._links_to(peer)
        desk = links.desk(request.link, links.open_desks() or links.desks)
        return await desk.ask(msgspec.structs.replace(request, link=desk.end.link))

    async def take(self, holder: str, master: str, key_ids: Sequence[str]) -> list[Secret]:
        """Hand out keys that wait here for `holder`, all or none."""
        try:
            wanted = [names.canonical(key_id) for key_id in key_ids]
        except ValueError:
            raise KeyNotFound("one or more keys specified are not found on KME") from None
        return await self._storage.take(holder, master, wanted)

    async def expires_s(self, holder: str, master: str, key_id: str) -> float:
        """Return until when a key waits for a holder, in Unix time; `KeyNotFound` where none."""
        return await self._storage.expires_s(holder, master, key_id)

    async def waiting(self, peer: str, master: str) -> tuple[str, ...]:
        """Return the names of the keys that a master at `peer` got and that wait here."""
        found = [await self._storage.waiting(link, master) for link in self.links(peer)]
        return tuple(name for each in found for name in each)

    async def void(self, peer: str, master: str, key_ids: Sequence[str]) -> frozenset[str]:
        """Delete keys that a peer takes back before they were fetched; which were still here."""
        gone = [await self._storage.void(link, master, key_ids) for link in self.links(peer)]
        return frozenset().union(*gone)

    async def attend(self, peer: str, way: Peer, link: str = "") -> None:
        """Use an open way to a peer until it breaks, which raises `ChannelError`.

        For one of the links to it, the first where none is named.
        """
        links = self._links_to(peer)
        desk = links.desk(link, links.desks)
        await self._meet(desk, way)
        desk.is_open = True
        links.is_reachable.set()
        try:
            now, told, next_s = asyncio.get_running_loop().time, 0, 0.0
            next_ping_s = now() + PING_INTERVAL_S
            while True:
                requests = await desk.next_batch(FETCHED_INTERVAL_S)
                if now() >= next_s:
                    next_s = now() + FETCHED_INTERVAL_S
                    marks = await self._storage.marks(desk.end.link)
                    if (fetched := marks[TAKEN[desk.end.side]]) > told:
                        told = fetched
                        requests.append(Fetched(desk.end.link, fetched))
                if not requests and now() >= next_ping_s:
                    requests.append(Fetched(desk.end.link, told))
                if requests:
                    next_ping_s = now() + PING_INTERVAL_S
                    desk.settle(await way.call(requests))
        finally:
            desk.is_open = False
            if not links.open_desks():
                links.is_reachable.clear()
            desk.give_up()

    async def run(self) -> None:
        """Delete keys that nobody fetched in time, until cancelled."""
        while True:
            await self._storage.expire()
            await asyncio.sleep(EXPIRY_INTERVAL_S)

    async def answer(self, peer: str, requests: Sequence[Request]) -> list[Reply]:
        """Do what a peer's key manager asks; on disk, together, before this returns."""
        if len(requests) == 1:
            return [await self._answer(peer, requests[0])]
        async with asyncio.TaskGroup() as tasks:  # side by side, so that they share a commit
            answers = [tasks.create_task(self._answer(peer, each)) for each in requests]
        return [answer.result() for answer in answers]

    async def _answer(self, peer: str, request: Request) -> Reply:
        ends = [desk.end for desk in self._links_to(peer).desks if desk.end.link == request.link]
        if not ends:
            return Refused(f"'{request.link}' is not the link to '{peer}'")
        end = ends[0]
        theirs = KEYS[1 - end.side]
        try:
            match request:
                case Meet():
                    ours = await self._storage.marks(end.link)
                    await self._compare(peer, end, request.marks)
                    return Meet(end.link, ours)
                case Reserve():
                    await self._storage.accept(end.link, theirs, request.order)
                case SetAside():
                    await self._storage.accept_pads(end.link, theirs, request.offset, request.runs)
                case Deliver():
                    await self._receive(peer, request)
                case Join():
                    return self.streams.join(peer, request) if self.streams else Joined(False)
                case Carry() | Forward() | Lost() | Arrived():
                    return await self._relay(peer, end, request)
                case Fetched():
                    await self._storage.remember_fetched(end.link, 1 - end.side, request.count)
        except (Conflict, KeyExhausted, AuthenticationError) as error:
            return Refused(str(error))
        return Done()

    async def _relay(
        self, peer: str, end: LinkEnd, request: Carry | Forward | Lost | Arrived
    ) -> Reply:
        if self.relay is None or isinstance(request, Arrived) != end.is_relayed:
            return Refused(f"'{self.node}' relays no such thing for '{peer}'")
        return await self.relay.answer(peer, request)

    async def _meet(self, desk: Desk, way: Peer) -> None:
        end = desk.end
        ours = Meet(end.link, await self._storage.marks(end.link))
        (reply,) = await way.call([ours])
        if not isinstance(reply, Meet):
            raise ChannelError(f"the key manager of '{desk.peer}' would not compare ledgers")
        await self._compare(desk.peer, end, reply.marks)

    async def _compare(self, peer: str, end: LinkEnd, theirs: Mapping[str, int]) -> None:
        if await self._storage.meet(end.link, end.own, theirs):
            log.warning(
                "the key store of %s is an old copy: '%s' remembers more; skipped what it forgot",
                *(self.node, peer),
            )

    async def _reserve(
        self, desk: Desk, wish: Wish, master: str, holders: tuple[str, ...], ttl_s: float
    ) -> NamedKeys:
        end = desk.end
        with desk.admitted(wish.number):
            cut: Allotment = await self._storage.reserve(end.link, KEYS[end.side], wish)
            order = Order(
                key_ids=cut.keys.key_ids,
                runs=cut.runs,
                n_bits=wish.n_bits,
                master=master,
                holders=holders,
                expires_s=self._now() + ttl_s,
                may_be_simulated=wish.may_be_simulated,
            )
            await desk.ask(Reserve(end.link, order))
            return cut.keys

    def _links_to(self, peer: str) -> Links:
        if peer not in self._links:
            raise KeyNotFound(f"node '{self.node}' has no link to '{peer}'")
        return self._links[peer]
