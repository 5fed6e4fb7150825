"""ETSI GS QKD 004 V2.1.1: streams of key in chunks, as Python calls.

How it thinks: who opens a stream without an identifier makes it. The partner who opens it with the
identifier has its key manager ask the maker's, so both ends know that the other came, and on what
they agree. The maker's key manager cuts chunks from the ledgers a few ahead; each has a name made
from the stream and its index, and waits at both ends, for one application each. So a chunk is read
once per side, both read the same bytes, and what was given out is gone from disk before. Where it
is not certain who has a chunk, its index is passed over.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from qnx_hw.config import KeysSection
from qnx_hw.errors import (
    ChannelError,
    KeyExhausted,
    KeyNotFound,
    NotEntitled,
    RequestRefused,
    StoreFailed,
)
from qnx_hw.keys.delivery.qkd014 import Registry
from qnx_hw.keys.delivery.values004 import JSON, Chunk, Metadata, Opened, Qos, Status
from qnx_hw.keys.kme import Kme, Streaming
from qnx_hw.keys.ledger import Order, Quota, Wish
from qnx_hw.keys.messages import Join, Joined
from qnx_hw.secret import Secret

CHUNKS_AHEAD = 8
LAST_INDEX = (1 << 32) - 1
MOST_STREAMS = 64
"""Open at once for one SAE."""


@dataclass(slots=True)
class _Stream:
    partner: str
    qos: Qos
    is_maker: bool
    is_joined: bool
    """Whether the partner opened it too."""
    next_index: int = 0
    """What is read where no index is named."""
    made: int = 0
    """Chunks below this were cut."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)

    def pass_over(self, index: int) -> None:
        """Go on behind an index."""
        self.next_index = (max(self.next_index, index) + 1) & LAST_INDEX


class Streams(Streaming):
    """The streams of the SAEs of one node; an SAE's identifier is its URI.

    Streams are kept in memory: whoever restarts opens new ones. Chunks that wait are on disk.
    """

    def __init__(
        self, kme: Kme, registry: Registry, offer: KeysSection, now: Callable[[], float] = time.time
    ) -> None:
        self._kme = kme
        self._registry = registry
        self._offer = offer
        self._now = now
        self._streams: dict[tuple[str, uuid.UUID], _Stream] = {}
        kme.streams = self

    async def open_connect(
        self,
        caller: str,
        source: str,
        destination: str,
        qos: Qos | None = None,
        stream: uuid.UUID | None = None,
    ) -> Opened:
        """Open a stream of the caller's; the partner opens it with the identifier it is told.

        Where the partner says no `qos`, it takes the maker's.
        """
        saes = self._registry.saes
        if caller not in (source, destination) or not {source, destination} <= set(saes):
            raise RequestRefused("source and destination are SAEs, one of them who asks", 400)
        if sum(owner == caller for owner, _ in self._streams) >= MOST_STREAMS:
            raise RequestRefused(f"an SAE opens {MOST_STREAMS} streams at most", 503)
        partner = destination if caller == source else source
        wanted = qos or Qos()
        if saes[partner].node not in self._kme.peers:
            return Opened(Status.NO_QKD_CONNECTION, None, wanted)
        if stream is not None:
            return await self._join(caller, partner, qos, stream)
        possible = self._possible(wanted)
        if possible != wanted:
            return Opened(Status.QOS_NOT_MET, None, possible)
        name = uuid.uuid4()
        self._streams[caller, name] = _Stream(partner, wanted, is_maker=True, is_joined=False)
        return Opened(Status.PEER_NOT_CONNECTED, name, wanted)

    def join(self, peer: str, request: Join) -> Joined:
        """Say what a stream is that an application at `peer` opens, and whether it is open here.

        The maker here may read from now on, where the partner takes it as it is.
        """
        found = self._streams.get((request.maker, request.stream))
        partner = self._registry.saes.get(request.partner)
        is_known = found is not None and found.is_maker and found.partner == request.partner
        if not is_known or found is None or partner is None or partner.node != peer:
            return Joined(is_open=False)
        qos = found.qos
        asked = (request.chunk_bytes or qos.Key_chunk_size, request.ttl_s or qos.TTL)
        found.is_joined |= asked == (qos.Key_chunk_size, qos.TTL)
        return Joined(is_open=True, chunk_bytes=qos.Key_chunk_size, ttl_s=qos.TTL)

    async def get_key(
        self,
        caller: str,
        stream: uuid.UUID,
        index: int | None = None,
        metadata_room_bytes: int | None = None,
    ) -> Chunk:
        """Return a chunk, the next where none is named; each index once."""
        if (caller, stream) not in self._streams:
            raise RequestRefused("this stream is not open", 400)
        found = self._streams[caller, stream]
        wanted = found.next_index if index is None else index
        if not found.is_joined:
            return Chunk(Status.PEER_APPLICATION_NOT_CONNECTED, wanted)
        master = caller if found.is_maker else found.partner
        name = _name(stream, wanted)
        try:
            async with asyncio.timeout(found.qos.Timeout / 1000 or None):
                if found.is_maker:
                    await self._make(caller, stream, found, wanted)
                about = await self._about(found, caller, master, name)
                if metadata_room_bytes is not None and len(about) > metadata_room_bytes:
                    status = Status.METADATA_SIZE_INSUFFICIENT
                    return Chunk(status, wanted, metadata_bytes=len(about))
                secret = await self._take(found, caller, master, name, wanted)
        except TimeoutError:
            return Chunk(Status.TIMEOUT, wanted)
        except (KeyExhausted, KeyNotFound, NotEntitled):
            return Chunk(Status.INSUFFICIENT_KEY, wanted)
        except ChannelError:
            return Chunk(Status.NO_QKD_CONNECTION, wanted)
        return Chunk(Status.SUCCESSFUL, wanted, secret, about, len(about))

    async def close(self, caller: str, stream: uuid.UUID) -> Status:
        """Forget a stream; chunks that nobody reads expire."""
        self._streams.pop((caller, stream), None)
        return Status.SUCCESSFUL

    async def _join(self, caller: str, partner: str, qos: Qos | None, stream: uuid.UUID) -> Opened:
        wanted = qos or Qos()
        size, ttl = (qos.Key_chunk_size, qos.TTL) if qos is not None else (0, 0)
        request = Join("", stream, partner, caller, size, ttl)
        try:
            async with asyncio.timeout(wanted.Timeout / 1000 or None):
                reply = await self._kme.ask(self._registry.saes[partner].node, request)
        except TimeoutError:
            return Opened(Status.TIMEOUT, None, wanted)
        except ChannelError:
            return Opened(Status.NO_QKD_CONNECTION, None, wanted)
        if not isinstance(reply, Joined) or not reply.is_open:
            raise RequestRefused(
                f"'{partner}' has no such stream open; who comes first opens one without "
                f"Key_stream_ID",
                400,
            )
        agreed = msgspec.structs.replace(
            self._possible(wanted), Key_chunk_size=reply.chunk_bytes, TTL=reply.ttl_s
        )
        if qos is not None and agreed != qos:
            return Opened(Status.QOS_NOT_MET, None, agreed)
        if (caller, stream) in self._streams:
            return Opened(Status.STREAM_ID_IN_USE, None, agreed)
        self._streams[caller, stream] = _Stream(partner, agreed, is_maker=False, is_joined=True)
        return Opened(Status.SUCCESSFUL, stream, agreed)

    async def _make(self, caller: str, stream: uuid.UUID, found: _Stream, wanted: int) -> None:
        """Cut chunks up to the wanted one and a few beyond, for both ends."""
        async with found.making:
            if wanted < found.made:
                return
            if wanted >= found.made + CHUNKS_AHEAD:
                raise KeyNotFound("an index is far ahead of what was read")
            number = wanted + CHUNKS_AHEAD - found.made
            saes, partner = self._registry.saes, found.partner
            may_be_simulated = all(saes[each].may_receive_simulated for each in (caller, partner))
            limit = saes[caller].bits_per_day
            n_bits, ttl_s = 8 * found.qos.Key_chunk_size, float(found.qos.TTL)
            names = tuple(_name(stream, found.made + at) for at in range(number))
            wish = Wish(
                n_bits,
                number,
                self._offer.reserve_bits,
                may_be_simulated,
                None if limit is None else Quota(caller, limit),
                names,
            )
            expires_s = self._now() + ttl_s
            order = Order(names, (), n_bits, caller, (caller,), expires_s, may_be_simulated)
            try:
                keys = await self._kme.reserve(
                    saes[partner].node, wish, master=caller, holders=(partner,), ttl_s=ttl_s
                )
                await self._kme.share({self._kme.node: (caller,)}, keys, order)
            except (ChannelError, StoreFailed, asyncio.CancelledError):
                # Either end may have these chunks or not.
                found.made = found.next_index = found.made + number
                raise
            found.made += number

    async def _about(self, found: _Stream, caller: str, master: str, name: str) -> bytes:
        """Return what is told beside a chunk that waits."""
        if not found.qos.Metadata_mimetype:
            return b""
        expires_s = await self._kme.expires_s(caller, master, name)
        age_ms = round(1000 * max(0.0, self._now() + found.qos.TTL - expires_s))
        is_relayed = self._kme.end(self._registry.saes[found.partner].node).is_relayed
        return msgspec.json.encode(Metadata(age_ms, is_relayed))

    async def _take(
        self, found: _Stream, caller: str, master: str, name: str, index: int
    ) -> Secret:
        try:
            (secret,) = await self._kme.take(caller, master, [name])
        except asyncio.CancelledError:  # it may be gone
            found.pass_over(index)
            raise
        found.pass_over(index)
        return secret

    def _possible(self, qos: Qos) -> Qos:
        """Return the nearest that can be had."""
        offer = self._offer
        size = min(max(qos.Key_chunk_size, -(-offer.min_key_size // 8)), offer.max_key_size // 8)
        ttl = min(max(qos.TTL, 1), int(offer.ttl_s))
        told = qos.Metadata_mimetype if qos.Metadata_mimetype in ("", JSON) else JSON
        return msgspec.structs.replace(qos, Key_chunk_size=size, TTL=ttl, Metadata_mimetype=told)


def _name(stream: uuid.UUID, index: int) -> str:
    return str(uuid.uuid5(stream, str(index)))
