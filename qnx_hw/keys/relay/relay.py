"""Trusted-node relay: keys for two nodes without a common link, ahead of need.

How it thinks: who wants key makes it at random and sends it from node to node in batches, each hop
under one-time pad of its own link. Every node takes its pads from disk before it uses them, so
nothing is sent under a pad twice and no message is accepted twice. The destination keeps the block
on disk and proves to the maker, with 32 bytes of the block that serve for nothing else, that it
holds the same. Only then does the maker keep it, and keys are cut from it as from a link's. Nothing
is ever sent again: a block that was not confirmed in time is given up, its number never comes back,
and its bytes at the destination are never asked for.

Each node on a path learns the key. With several paths that share no node, the key is the sum of
what went over each, and only nodes of all paths together learn it.

Two key managers without a link also talk over the nodes between them. Whoever forwards can hold
that back or change it, which costs keys, but tells nothing and gives no bit twice: a destination
cuts a byte once, whoever had it cut.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import msgspec

from qnx_hw.attempts import attempt
from qnx_hw.errors import AuthenticationError, ChannelError, Conflict, KeyExhausted, QnxError
from qnx_hw.keys.envelope import pad_bytes, seal, unseal
from qnx_hw.keys.kme import Kme, Relaying
from qnx_hw.keys.messages import (
    Arrived,
    Carry,
    Done,
    Forward,
    Lost,
    Parcel,
    Peer,
    Refused,
    Reply,
    Request,
    decode_replies,
    decode_requests,
    encode,
)
from qnx_hw.keys.relay.blocks import RelayedBlocks
from qnx_hw.keys.relay.destination import PROOF_BYTES, Destination, proof, total
from qnx_hw.keys.relay.paths import Graph, Path
from qnx_hw.keys.relay.ways import Preference, Ways
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

ANSWER_DEADLINE_S = 4.0
"""For a question over several nodes."""
LOOK_INTERVAL_S = 0.5
PAUSE_S = 0.5
MOST_WAITING = 256
"""Messages to pass on; what comes when so many wait is refused."""
WORKERS = 8
MOST_AHEAD = 16
"""Times the usual stock that is made ready at most, whoever advises it."""
LARGEST_BATCH_BYTES = 65_536

Level: TypeAlias = Callable[[str], int]
"""How much key to have ready with a peer, by who knows what will be asked for; 0 for no matter."""
_Onward: TypeAlias = "tuple[Carry, Secret] | Forward | Lost"


@dataclass(frozen=True, slots=True)
class RelaySettings:
    """How much relayed key a node keeps ready for each peer, and how it gets it."""

    low_bits: int = 65_536
    high_bits: int = 131_072
    batch_bits: int = 32_768
    paths: int = 1
    keep_bits: int = 0
    """What a relay leaves of each link."""
    arrival_deadline_s: float = 8.0


class Relay(Relaying):
    """A node's part in relays: as maker, as destination, and as a node between."""

    def __init__(
        self,
        kme: Kme,
        blocks: RelayedBlocks,
        graph: Graph,
        settings: RelaySettings,
        prefer: Preference = lambda _: (),
        level: Level = lambda _: 0,
    ) -> None:
        self._kme = kme
        self._blocks = blocks
        self._settings = settings
        self._ways = Ways(kme, graph, prefer)
        self._destination = Destination(kme, blocks)
        self._level = level
        self._onward: asyncio.Queue[_Onward] = asyncio.Queue(MOST_WAITING)
        self._questions: dict[int, asyncio.Future[bytes]] = {}
        self._number = secrets.randbits(40)
        self._awaited: dict[tuple[str, int], asyncio.Future[Arrived]] = {}
        self._filling = {peer: asyncio.Lock() for peer in kme.relayed_peers}
        self._low_part = settings.low_bits / max(1, settings.high_bits)
        kme.relay = self

    async def run(self) -> None:
        """Pass on, stay in touch with the peers beyond, and keep key ready, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for _ in range(WORKERS):
                tasks.create_task(self._pass_on())
            for peer in self._kme.relayed_peers:
                tasks.create_task(self._attend(peer))
                tasks.create_task(self._keep_filled(peer))

    async def fill(self, peer: str) -> None:
        """Make one batch of key with a peer; `QnxError` where it was not confirmed."""
        async with self._filling[peer]:  # a destination takes a maker's blocks in order
            await self._fill(peer)

    async def answer(self, peer: str, request: Carry | Forward | Lost | Arrived) -> Reply:
        """Take a message of a neighbour, or of a peer beyond; refused where it is not in order."""
        match request:
            case Carry():
                return await self._carry(peer, request)
            case Arrived():
                return self._arrived(request)
            case Forward():
                self._check_step(peer, request.path, request.at)
                self._queue(request)
            case Lost():
                # It goes back, so it comes from the node after.
                self._check_step(peer, request.path[::-1], len(request.path) - 1 - request.at)
                self._queue(request)
        return Done()

    async def ask(self, peer: str, requests: Sequence[Request]) -> Sequence[Reply]:
        """Ask the key manager of a peer beyond; `ChannelError` where no answer comes."""
        (path,) = self._ways.paths(peer, 1)
        self._number += 1
        number = self._number
        answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._questions[number] = answer
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                link = self._kme.end(path[1]).link
                forward = Forward(link, path, 1, number, False, encode(requests))
                await self._kme.ask(path[1], forward)
                return decode_replies(await answer, len(requests))
        except TimeoutError:
            raise ChannelError(f"no answer came from '{peer}' over {'-'.join(path)}") from None
        finally:
            del self._questions[number]

    async def _fill(self, peer: str) -> None:
        end = self._kme.end(peer)
        n_bytes = PROOF_BYTES + self._settings.batch_bits // 8
        paths = self._ways.paths(peer, self._settings.paths)
        block = await self._blocks.begin(end.link, end.side)
        arrival: asyncio.Future[Arrived] = asyncio.get_running_loop().create_future()
        self._awaited[end.link, block] = arrival
        shares = [Secret(secrets.token_bytes(n_bytes)) for _ in paths]
        parcels = [
            Parcel(path, 0, end.link, block, number, len(paths), False)
            for number, path in enumerate(paths)
        ]
        try:
            arrived = await self._arrival(parcels, shares, arrival)
            key = total(shares)
            if not hmac.compare_digest(arrived.proof, proof(key, end.link, block)):
                await self._blocks.begin(end.link, end.side, above=arrived.newest)
                raise AuthenticationError(f"'{peer}' holds another key than was sent to it")
            usable = Secret(key.reveal()[PROOF_BYTES:])
            key.wipe()
            await self._blocks.keep(end.link, block, usable, is_simulated=arrived.is_simulated)
        finally:
            del self._awaited[end.link, block]
            for share in shares:
                share.wipe()

    async def _arrival(
        self,
        parcels: Sequence[Parcel],
        shares: Sequence[Secret],
        arrival: asyncio.Future[Arrived],
    ) -> Arrived:
        """Send all shares of a block; return what the destination says of it."""
        try:
            async with (
                asyncio.timeout(self._settings.arrival_deadline_s),
                asyncio.TaskGroup() as tasks,
            ):
                for parcel, share in zip(parcels, shares, strict=True):
                    tasks.create_task(self._send(parcel, share))
                return await arrival
        except TimeoutError:
            peer = parcels[0].path[-1]
            raise ChannelError(f"'{peer}' did not confirm a relayed key in time") from None
        except ExceptionGroup as errors:
            failures, others = errors.split(QnxError)
            if others is not None or failures is None:
                raise
            raise _first(failures) from None

    async def _send(self, parcel: Parcel, octets: Secret) -> None:
        """Send key to the next node of its path, which has taken it when this returns."""
        peer = parcel.path[parcel.at + 1]
        stock = await self._kme.stock(peer)
        cost_bytes = pad_bytes(len(octets))
        if await self._kme.stock_bits(peer) < self._settings.keep_bits + 8 * cost_bytes:
            raise KeyExhausted(f"the link to '{peer}' holds too little key for a relay")
        onward = msgspec.structs.replace(
            parcel, at=parcel.at + 1, is_simulated=parcel.is_simulated or stock.is_simulated
        )
        offset, pad = await self._kme.take_pad(peer, cost_bytes)
        sealed, mark = seal(pad, octets, msgspec.json.encode((onward, offset)))
        link = self._kme.end(peer).link
        await self._kme.ask(peer, Carry(link, onward, offset, sealed, mark))

    async def _carry(self, peer: str, carry: Carry) -> Reply:
        parcel = carry.parcel
        self._check_step(peer, parcel.path, parcel.at)
        if self._onward.full():
            raise KeyExhausted("too many messages wait to be passed on")
        if len(carry.sealed) > LARGEST_BATCH_BYTES + PROOF_BYTES:
            raise KeyExhausted("a relayed key is too long")
        pad = await self._kme.take_pad_at(peer, carry.offset, pad_bytes(len(carry.sealed)))
        about = msgspec.json.encode((parcel, carry.offset))
        octets = unseal(pad, carry.sealed, carry.mark, about)
        self._queue((carry, octets))
        return Done()

    def _check_step(self, peer: str, path: Path, at: int) -> None:
        is_sound = (
            len(set(path)) == len(path)
            and 0 < at < len(path)
            and path[at] == self._kme.node
            and path[at - 1] == peer
        )
        if not is_sound:
            raise Conflict("a message does not belong where it came")

    def _queue(self, onward: _Onward) -> None:
        try:
            self._onward.put_nowait(onward)
        except asyncio.QueueFull:
            raise KeyExhausted("too many messages wait to be passed on") from None

    async def _pass_on(self) -> None:
        while True:
            onward = await self._onward.get()
            try:
                match onward:
                    case Forward():
                        await self._forward(onward)
                    case Lost():
                        await self._lose(onward)
                    case carry, octets:
                        await self._deliver(carry.parcel, octets)
            except QnxError as error:
                log.debug("a message between key managers was not passed on: %s", error)

    async def _forward(self, forward: Forward) -> None:
        if forward.at + 1 < len(forward.path):
            following = forward.path[forward.at + 1]
            try:
                await self._ask_neighbour(following, forward, at=forward.at + 1)
            except QnxError:
                if not forward.is_answer:
                    await self._return(forward.path, forward.at, "", forward.number)
                raise
        elif forward.is_answer:
            answer = self._questions.get(forward.number)
            if answer is not None and not answer.done():
                answer.set_result(forward.content)
        else:
            replies = await self._kme.answer(forward.path[0], decode_requests(forward.content))
            back = forward.path[::-1]
            answered = msgspec.structs.replace(
                forward, path=back, is_answer=True, content=encode(replies)
            )
            await self._ask_neighbour(back[1], answered, at=1)

    async def _deliver(self, parcel: Parcel, octets: Secret) -> None:
        if parcel.at + 1 == len(parcel.path):
            await self._destination.gather(parcel, octets)
            return
        try:
            await self._send(parcel, octets)
        except QnxError:
            await self._return(parcel.path, parcel.at, parcel.pair, parcel.block)
            raise
        finally:
            octets.wipe()

    def _arrived(self, arrived: Arrived) -> Reply:
        awaited = self._awaited.get((arrived.link, arrived.block))
        if awaited is None or awaited.done():
            return Refused("nobody waits for this block")
        awaited.set_result(arrived)
        return Done()

    async def _return(self, path: Path, at: int, pair: str, number: int) -> None:
        """Tell the maker of a message that it does not get from node `at` of its path further."""
        stuck = path[at], path[at + 1]
        await self._lose(Lost("", path, at, stuck, pair, number))

    async def _lose(self, lost: Lost) -> None:
        if lost.at > 0:
            await self._ask_neighbour(lost.path[lost.at - 1], lost, at=lost.at - 1)
            return
        self._ways.shun(lost.stuck)
        waiting: asyncio.Future[Arrived] | asyncio.Future[bytes] | None
        if lost.pair:
            waiting = self._awaited.get((lost.pair, lost.number))
        else:
            waiting = self._questions.get(lost.number)
        if waiting is not None and not waiting.done():
            waiting.set_exception(
                ChannelError(f"it got no further than from '{lost.stuck[0]}' to '{lost.stuck[1]}'")
            )

    async def _ask_neighbour(self, peer: str, message: Forward | Lost, at: int) -> None:
        link = self._kme.end(peer).link
        await self._kme.ask(peer, msgspec.structs.replace(message, link=link, at=at))

    def _high_bits(self, peer: str) -> int:
        """Return up to where to fill: as set, or more where more will be asked for."""
        most_bits = MOST_AHEAD * self._settings.high_bits
        return max(self._settings.high_bits, min(self._level(peer), most_bits))

    async def _attend(self, peer: str) -> None:
        while True:
            try:
                await attempt(self._kme.attend(peer, _Beyond(self, peer)))
            except QnxError as error:
                log.debug("the key managers' way to %s broke: %s", peer, error)
            await asyncio.sleep(PAUSE_S)

    async def _keep_filled(self, peer: str) -> None:
        while True:
            try:
                await self._kme.connected(peer)
                high_bits = self._high_bits(peer)
                if await self._kme.stock_bits(peer) < high_bits * self._low_part:
                    while await self._kme.stock_bits(peer) < high_bits:
                        await attempt(self.fill(peer))
            except QnxError as error:
                log.debug("no key was relayed to %s: %s", peer, error)
            await asyncio.sleep(LOOK_INTERVAL_S)


class _Beyond(Peer):
    """The key manager of a node without a common link."""

    def __init__(self, relay: Relay, peer: str) -> None:
        self._relay = relay
        self._peer = peer

    async def call(self, requests: Sequence[Request]) -> Sequence[Reply]:
        return await self._relay.ask(self._peer, requests)


def _first(errors: ExceptionGroup[QnxError]) -> QnxError:
    for error in errors.exceptions:
        return _first(error) if isinstance(error, ExceptionGroup) else error
    raise AssertionError("a group of errors is never empty")
