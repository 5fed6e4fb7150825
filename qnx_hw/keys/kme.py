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
import uuid
from abc import abstractmethod
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeAlias

import msgspec

from qnx_hw.errors import AuthenticationError, ChannelError, Conflict, KeyExhausted, KeyNotFound
from qnx_hw.keys.envelope import pad_bytes, seal, unseal
from qnx_hw.keys.ledger import KEYS, PADS, TAGS, TAKEN, Allotment, NamedKey, Order, Stock, Wish
from qnx_hw.keys.messages import (
    MOST_KEYS,
    MOST_REQUESTS,
    Arrived,
    Carry,
    Deliver,
    Done,
    Fetched,
    Forward,
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

ANSWER_DEADLINE_S = 2.0
"""A key that takes longer is no use to a tunnel that waits to renew its own."""
KEY_TTL_S = 24 * 3600.0
EXPIRY_INTERVAL_S = 60.0
PAD_BATCH_BYTES = 16 << 10
"""Set aside at once, so that not every pad costs a message."""
PAD_SHARE = 4
"""Of the stock, one part in four is set aside at once at most."""
FETCHED_INTERVAL_S = 1.0
"""How often the peer is told how many keys were fetched, where nothing else is said."""
PING_INTERVAL_S = 3.0
"""A peer is asked something at least so often, so that a wire that fell silent is noticed."""
LINK_SHIFT = 56
"""An offset of pads is below this; which of several links it is of stands above."""
MOST_WAITING = 4096
UUID_CHARACTERS = 36

_Question: TypeAlias = tuple[Request, "asyncio.Future[Reply]"]


@dataclass(frozen=True, slots=True)
class LinkEnd:
    """One end of a link: its name, and which direction (0 Alice's, 1 Bob's) is this node's."""

    link: str
    side: int
    is_relayed: bool = False
    """Whether its keys come over other nodes; then `link` names the pair of nodes."""

    @property
    def own(self) -> tuple[str, ...]:
        """The ledgers that move here first."""
        return tuple(each[self.side] for each in (KEYS, TAGS, PADS, TAKEN))


def consumer_at(node: str) -> str:
    """Return the holder's name for a node's own use, which no SAE can have: it has a space."""
    return f"node {node}"


class Relaying(Protocol):
    """What a node does for keys between nodes without a common link."""

    @abstractmethod
    async def answer(self, peer: str, request: Carry | Forward | Lost | Arrived) -> Reply:
        """Take a message; `Conflict`, `KeyExhausted` or `AuthenticationError` refuse it."""


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
        self._desks = {
            peer: tuple(
                _Desk(peer, end) for end in (given if isinstance(given, tuple) else (given,))
            )
            for peer, given in ends.items()
        }
        self._reachable = {peer: asyncio.Event() for peer in ends}
        self.relay: Relaying | None = None
        """Takes what concerns relays; None where this node has no part in any."""

    @property
    def peers(self) -> tuple[str, ...]:
        """The nodes at the other ends of this node's links."""
        return tuple(self._desks)

    @property
    def relayed_peers(self) -> tuple[str, ...]:
        """The nodes without a common link."""
        return tuple(peer for peer, desks in self._desks.items() if desks[0].end.is_relayed)

    def end(self, peer: str) -> LinkEnd:
        """Return this node's end of the first link to a peer."""
        return self._desks_of(peer)[0].end

    def links(self, peer: str) -> tuple[str, ...]:
        """Return the names of all links to a peer."""
        return tuple(desk.end.link for desk in self._desks_of(peer))

    def is_connected(self, peer: str) -> bool:
        """Whether keys shared with a peer can be had now."""
        return peer in self._reachable and self._reachable[peer].is_set()

    async def connected(self, peer: str) -> None:
        """Wait until keys shared with a peer can be had."""
        self._desks_of(peer)
        await self._reachable[peer].wait()

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
        return [(str(key.key_id), key.secret) for key in keys]

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
        stocks = [await self._own_bits(desk) for desk in self._desks_of(peer)]
        return sum(max(0, bits - keep_bits) for bits in stocks)

    async def stock(self, peer: str) -> Stock:
        """Return how much the links to `peer` hold here."""
        stocks = [await self._storage.stats(desk.end.link) for desk in self._desks_of(peer)]
        return Stock(
            {each: sum(stock.bits[each] for stock in stocks) for each in stocks[0].bits},
            sum(stock.waiting_keys for stock in stocks),
            sum(stock.total_key_bits for stock in stocks),
            any(stock.is_simulated for stock in stocks),
        )

    async def take_pad(self, peer: str, n_bytes: int) -> tuple[int, Secret]:
        """Return one-time pad for data to `peer`, and the offset by which it finds the same.

        Offsets of a link only grow. A lost connection to the peer's key manager gives up what was
        set aside.
        """
        desks = self._open_desks(peer) or list(self._desks_of(peer))
        desk = desks[0] if len(desks) == 1 else await self._fullest(desks)
        pads = PADS[desk.end.side]
        async with desk.pads:
            try:
                offset, pad = await self._storage.take_pad(desk.end.link, pads, n_bytes)
            except KeyExhausted:
                await self._set_aside(desk, n_bytes)
                offset, pad = await self._storage.take_pad(desk.end.link, pads, n_bytes)
        return self._desks_of(peer).index(desk) << LINK_SHIFT | offset, pad

    async def take_pad_at(self, peer: str, offset: int, n_bytes: int) -> Secret:
        """Return the pad that `peer` took at `offset`, once.

        `Conflict` where it was taken before, `KeyExhausted` where it was never set aside here.
        """
        desks = self._desks_of(peer)
        if not 0 <= offset < len(desks) << LINK_SHIFT:
            raise KeyExhausted(f"there is no pad at {offset}")
        end, offset = desks[offset >> LINK_SHIFT].end, offset % (1 << LINK_SHIFT)
        return await self._storage.take_pad_at(end.link, PADS[1 - end.side], offset, n_bytes)

    async def reserve(
        self,
        peer: str,
        wish: Wish,
        *,
        master: str,
        holders: tuple[str, ...],
        ttl_s: float = KEY_TTL_S,
    ) -> tuple[NamedKey, ...]:
        """Take new keys that `holders` at `peer` may each fetch once; both ends durable."""
        if wish.n_bits < 8 or wish.n_bits % 8 or not 1 <= wish.number <= MOST_KEYS:
            raise ValueError(f"{wish.number} keys of {wish.n_bits} bits cannot be cut")
        desks = self._open_desks(peer)
        if not desks:
            raise ChannelError(f"the key manager of '{peer}' is away")
        shares = [(desks[0], wish)] if len(desks) == 1 else await self._spread(desks, wish)
        keys: list[NamedKey] = []
        for desk, part in shares:
            keys += await self._reserve(desk, part, master, holders, ttl_s)
        return tuple(keys)

    async def share(
        self, peers: Mapping[str, tuple[str, ...]], keys: Sequence[NamedKey], order: Order
    ) -> None:
        """Bring keys that were reserved with one peer to holders at other nodes, or at this one.

        `order` says whose keys they are and until when. Durable there when this returns; where it
        raises, some may have them, but the master must not.
        """
        for peer, holders in peers.items():
            octets = Secret(b"".join(key.secret.reveal() for key in keys))
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

    async def ask(self, peer: str, request: Request) -> None:
        """Return when a peer has done it; `ChannelError` where that is not certain."""
        desks = self._open_desks(peer) or self._desks_of(peer)
        desk = next((each for each in desks if each.end.link == request.link), desks[0])
        await desk.ask(msgspec.structs.replace(request, link=desk.end.link))

    async def take(self, holder: str, master: str, key_ids: Sequence[str]) -> list[Secret]:
        """Hand out keys that wait here for `holder`, all or none."""
        try:
            names = [uuid.UUID(key_id) for key_id in key_ids if len(key_id) == UUID_CHARACTERS]
        except ValueError:
            raise KeyNotFound("one or more keys specified are not found on KME") from None
        if len(names) != len(key_ids):
            raise KeyNotFound("one or more keys specified are not found on KME")
        return await self._storage.take(holder, master, names)

    async def void(
        self, peer: str, master: str, key_ids: Sequence[uuid.UUID]
    ) -> frozenset[uuid.UUID]:
        """Delete keys that a peer takes back before they were fetched; which were still here."""
        gone = [await self._storage.void(link, master, key_ids) for link in self.links(peer)]
        return frozenset().union(*gone)

    async def attend(self, peer: str, way: Peer, link: str = "") -> None:
        """Use an open way to a peer until it breaks, which raises `ChannelError`.

        For one of the links to it, the first where none is named.
        """
        desks = self._desks_of(peer)
        desk = next((each for each in desks if each.end.link == link), desks[0])
        await self._meet(desk, way)
        desk.is_open = True
        self._reachable[peer].set()
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
            if not self._open_desks(peer):
                self._reachable[peer].clear()
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
        ends = [desk.end for desk in self._desks_of(peer) if desk.end.link == request.link]
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
                case Carry() | Forward() | Lost() | Arrived():
                    if self.relay is None or isinstance(request, Arrived) != end.is_relayed:
                        return Refused(f"'{self.node}' relays no such thing for '{peer}'")
                    return await self.relay.answer(peer, request)
                case Fetched():
                    await self._storage.remember_fetched(end.link, 1 - end.side, request.count)
        except (Conflict, KeyExhausted, AuthenticationError) as error:
            return Refused(str(error))
        return Done()

    async def _meet(self, desk: _Desk, way: Peer) -> None:
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

    async def _set_aside(self, desk: _Desk, n_bytes: int) -> None:
        end = desk.end
        if not desk.is_open:
            raise ChannelError(f"the key manager of '{desk.peer}' is away")
        stock = (await self._storage.stats(end.link)).bits
        missing = n_bytes - stock[PADS[end.side]] // 8
        batch = max(missing, min(PAD_BATCH_BYTES, stock[KEYS[end.side]] // 8 // PAD_SHARE))
        keys, pads = KEYS[end.side], PADS[end.side]
        offset, runs = await self._storage.set_aside(end.link, keys, pads, batch)
        is_certain = False
        try:
            await desk.ask(SetAside(end.link, offset, runs))
            is_certain = True
        finally:
            if not is_certain:  # also where who waits was cancelled
                await self._storage.burn_pads(end.link, pads)

    async def _reserve(
        self, desk: _Desk, wish: Wish, master: str, holders: tuple[str, ...], ttl_s: float
    ) -> tuple[NamedKey, ...]:
        end = desk.end
        cut: Allotment = await self._storage.reserve(end.link, KEYS[end.side], wish)
        order = Order(
            key_ids=tuple(key.key_id for key in cut.keys),
            runs=cut.runs,
            n_bits=wish.n_bits,
            master=master,
            holders=holders,
            expires_s=self._now() + ttl_s,
            may_be_simulated=wish.may_be_simulated,
        )
        await desk.ask(Reserve(end.link, order))
        return cut.keys

    async def _spread(self, desks: Sequence[_Desk], wish: Wish) -> list[tuple[_Desk, Wish]]:
        """Return what to take from which of several links, from the fullest first."""
        stocks = [(await self._own_bits(desk), desk) for desk in desks]
        shares: list[tuple[_Desk, Wish]] = []
        left = wish.number
        for bits, desk in sorted(stocks, key=lambda stock: -stock[0]):
            count = min(left, max(0, bits - wish.keep_bits) // wish.n_bits)
            if count > 0:
                at = wish.number - left
                names = wish.key_ids[at : at + count]
                shares.append((desk, dataclasses.replace(wish, number=count, key_ids=names)))
                left -= count
        if left > 0:
            raise KeyExhausted(f"the links to '{desks[0].peer}' hold {left} keys too few together")
        return shares

    async def _fullest(self, desks: Sequence[_Desk]) -> _Desk:
        stocks = [await self._own_bits(desk) for desk in desks]
        return desks[stocks.index(max(stocks))]

    async def _own_bits(self, desk: _Desk) -> int:
        return (await self._storage.stats(desk.end.link)).bits[KEYS[desk.end.side]]

    def _open_desks(self, peer: str) -> list[_Desk]:
        return [desk for desk in self._desks_of(peer) if desk.is_open]

    def _desks_of(self, peer: str) -> tuple[_Desk, ...]:
        if peer not in self._desks:
            raise KeyNotFound(f"node '{self.node}' has no link to '{peer}'")
        return self._desks[peer]


class _Desk:
    """What waits to be asked of a peer over one link; all that wait go in one message."""

    def __init__(self, peer: str, end: LinkEnd) -> None:
        self.peer = peer
        self.end = end
        self.is_open = False
        """Whether the peer can be asked."""
        self.pads = asyncio.Lock()
        self._waiting: deque[_Question] = deque()
        self._asked: list[_Question] = []
        self._bell = asyncio.Event()

    async def ask(self, request: Request) -> None:
        """Return when the peer has done it; `ChannelError` where that is not certain."""
        if not self.is_open or len(self._waiting) >= MOST_WAITING:
            raise ChannelError(f"the key manager of '{self.peer}' is away or overloaded")
        answer: asyncio.Future[Reply] = asyncio.get_running_loop().create_future()
        self._waiting.append((request, answer))
        self._bell.set()
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                reply = await answer
        except TimeoutError:
            raise ChannelError(
                f"the key manager of '{self.peer}' gave no answer in {ANSWER_DEADLINE_S:g} s"
            ) from None
        if isinstance(reply, Refused):
            raise ChannelError(f"the key manager of '{self.peer}' refused: {reply.reason}")

    async def next_batch(self, timeout_s: float) -> list[Request]:
        """Return what waits by now; nothing where nobody asks for `timeout_s`."""
        try:
            async with asyncio.timeout(timeout_s):
                await self._bell.wait()
        except TimeoutError:
            return []
        while self._waiting and len(self._asked) < MOST_REQUESTS - 1:
            self._asked.append(self._waiting.popleft())
        if not self._waiting:
            self._bell.clear()
        return [request for request, _ in self._asked]

    def settle(self, replies: Sequence[Reply]) -> None:
        """Give each question of the last batch its reply."""
        for (_, answer), reply in zip(self._asked, replies, strict=False):
            if not answer.done():
                answer.set_result(reply)
        self._asked.clear()

    def give_up(self) -> None:
        """Tell all who wait that the peer is away."""
        for _, answer in (*self._asked, *self._waiting):
            if not answer.done():
                answer.set_exception(ChannelError(f"the key manager of '{self.peer}' went away"))
        self._asked.clear()
        self._waiting.clear()
        self._bell.clear()
