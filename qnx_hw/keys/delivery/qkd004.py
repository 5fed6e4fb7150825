"""ETSI GS QKD 004 V2.1.1: streams of key in chunks, as Python calls and as JSON.

How it thinks: who opens a stream without an identifier makes it. Its key manager cuts chunks from
the ledgers a few ahead; each has a name made from the stream and its index, and waits at both ends,
for one application each. So a chunk is read once per side, both read the same bytes, and what was
given out is gone from disk before. The standard lays down no wire format; the JSON binding is ours:
`POST /api/v1/streams/open_connect`, `.../get_key` and `.../close` on the listener of 014.
"""

from __future__ import annotations

import asyncio
import base64
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Annotated

import msgspec

from qnx_hw.config import KeysSection
from qnx_hw.errors import ChannelError, KeyExhausted, KeyNotFound, NotEntitled, RequestRefused
from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.delivery.qkd014 import Registry, refuse
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.ledger import Order, Quota, Wish
from qnx_hw.secret import Secret

PATH = b"/api/v1/streams/"
CHUNKS_AHEAD = 8
LAST_INDEX = (1 << 32) - 1
MOST_STREAMS = 64
"""Open at once for one SAE."""
Word = Annotated[int, msgspec.Meta(ge=0, le=LAST_INDEX)]


class Status(IntEnum):
    """What a call answers; the standard's numbers."""

    SUCCESSFUL = 0
    PEER_NOT_CONNECTED = 1
    INSUFFICIENT_KEY = 2
    NO_QKD_CONNECTION = 4
    STREAM_ID_IN_USE = 5
    QOS_NOT_MET = 7


class Qos(msgspec.Struct, frozen=True, kw_only=True):
    """What a stream is wanted to be. Rates and jitter are noted, and promised by nobody."""

    Key_chunk_size: Word = 32
    """In bytes."""
    Max_bps: Word = 0
    Min_bps: Word = 0
    Jitter: Word = 0
    Priority: Word = 0
    Timeout: Word = 1000
    """Of a call, in ms."""
    TTL: Word = 3600
    """Of a chunk nobody read, in s."""
    Metadata_mimetype: Annotated[str, msgspec.Meta(max_length=256)] = "application/json"


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer of OPEN_CONNECT."""

    status: Status
    stream: uuid.UUID | None
    qos: Qos


@dataclass(frozen=True, slots=True, eq=False)
class Chunk:
    """The answer of GET_KEY."""

    status: Status
    index: int
    key: Secret | None = None


@dataclass(slots=True)
class _Stream:
    source: str
    destination: str
    qos: Qos
    is_maker: bool
    next_index: int = 0
    """What is read where no index is named."""
    made: int = 0
    """Chunks below this were cut."""
    making: asyncio.Lock = field(default_factory=asyncio.Lock)


class Streams:
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

    async def open_connect(
        self, caller: str, source: str, destination: str, qos: Qos, stream: uuid.UUID | None = None
    ) -> Opened:
        """Open a stream of the caller's; the partner opens it with the identifier it is told."""
        saes = self._registry.saes
        if caller not in (source, destination) or not {source, destination} <= set(saes):
            raise RequestRefused("source and destination are SAEs, one of them who asks", 400)
        if sum(owner == caller for owner, _ in self._streams) >= MOST_STREAMS:
            raise RequestRefused(f"an SAE opens {MOST_STREAMS} streams at most", 503)
        peer = saes[destination if caller == source else source].node
        if peer not in self._kme.peers:
            return Opened(Status.NO_QKD_CONNECTION, None, qos)
        possible = self._possible(qos)
        if possible != qos:
            return Opened(Status.QOS_NOT_MET, None, possible)
        if stream is not None and (caller, stream) in self._streams:
            return Opened(Status.STREAM_ID_IN_USE, None, qos)
        is_maker = stream is None
        name = stream or uuid.uuid4()
        self._streams[caller, name] = _Stream(source, destination, qos, is_maker)
        return Opened(Status.PEER_NOT_CONNECTED if is_maker else Status.SUCCESSFUL, name, qos)

    async def get_key(self, caller: str, stream: uuid.UUID, index: int | None = None) -> Chunk:
        """Return a chunk, the next where none is named; each index once."""
        if (caller, stream) not in self._streams:
            raise RequestRefused("this stream is not open", 400)
        found = self._streams[caller, stream]
        wanted = found.next_index if index is None else index
        partner = found.destination if caller == found.source else found.source
        master = caller if found.is_maker else partner
        try:
            async with asyncio.timeout(found.qos.Timeout / 1000 or None):
                if found.is_maker:
                    await self._make(caller, partner, stream, found, wanted)
                names = [_name(stream, wanted)]
                (secret,) = await self._kme.take(caller, master, names)
        except (KeyExhausted, KeyNotFound, NotEntitled, TimeoutError):
            return Chunk(Status.INSUFFICIENT_KEY, wanted)
        except ChannelError:
            return Chunk(Status.NO_QKD_CONNECTION, wanted)
        found.next_index = (max(found.next_index, wanted) + 1) & LAST_INDEX
        return Chunk(Status.SUCCESSFUL, wanted, secret)

    async def close(self, caller: str, stream: uuid.UUID) -> Status:
        """Forget a stream; chunks that nobody reads expire."""
        self._streams.pop((caller, stream), None)
        return Status.SUCCESSFUL

    async def _make(
        self, caller: str, partner: str, stream: uuid.UUID, found: _Stream, wanted: int
    ) -> None:
        """Cut chunks up to the wanted one and a few beyond, for both ends."""
        async with found.making:
            if wanted < found.made:
                return
            if wanted >= found.made + CHUNKS_AHEAD:
                raise KeyNotFound("an index is far ahead of what was read")
            number = wanted + CHUNKS_AHEAD - found.made
            saes = self._registry.saes
            peer = saes[partner].node
            may_be_simulated = all(saes[each].may_receive_simulated for each in (caller, partner))
            limit = saes[caller].bits_per_day
            n_bits = 8 * found.qos.Key_chunk_size
            names = tuple(_name(stream, found.made + at) for at in range(number))
            wish = Wish(
                n_bits,
                number,
                self._offer.reserve_bits,
                may_be_simulated,
                None if limit is None else Quota(caller, limit),
                names,
            )
            ttl_s = float(found.qos.TTL)
            try:
                keys = await self._kme.reserve(
                    peer, wish, master=caller, holders=(partner,), ttl_s=ttl_s
                )
            except ChannelError:
                # The partner may have these chunks or not; their indices are given up.
                found.made = found.next_index = found.made + number
                raise
            found.made += number
            expires_s = self._now() + ttl_s
            order = Order(names, (), n_bits, caller, (caller,), expires_s, may_be_simulated)
            await self._kme.share({self._kme.node: (caller,)}, keys, order)

    def _possible(self, qos: Qos) -> Qos:
        """Return the nearest that can be had."""
        offer = self._offer
        size = min(max(qos.Key_chunk_size, -(-offer.min_key_size // 8)), offer.max_key_size // 8)
        ttl = min(max(qos.TTL, 1), int(offer.ttl_s))
        return msgspec.structs.replace(qos, Key_chunk_size=size, TTL=ttl)


class _Open(msgspec.Struct, frozen=True):
    source: str
    destination: str
    qos: Qos = Qos()
    Key_stream_ID: uuid.UUID | None = None


class _Get(msgspec.Struct, frozen=True):
    Key_stream_ID: uuid.UUID
    index: Word | None = None


class _Close(msgspec.Struct, frozen=True):
    Key_stream_ID: uuid.UUID


class StreamBinding:
    """The JSON binding; who asks is known from the certificate."""

    def __init__(self, streams: Streams) -> None:
        self._streams = streams

    async def answer(self, caller: str, request: Request) -> Response:
        """Answer one request of an SAE."""
        if request.method != "POST" or request.query:
            return refuse(405, "streams are asked with POST and a body", ("POST",))
        try:
            match request.path.removeprefix(PATH):
                case b"open_connect":
                    asked = msgspec.json.decode(request.body, type=_Open)
                    opened = await self._streams.open_connect(
                        caller, asked.source, asked.destination, asked.qos, asked.Key_stream_ID
                    )
                    return _json(Key_stream_ID=opened.stream, qos=opened.qos, status=opened.status)
                case b"get_key":
                    wanted = msgspec.json.decode(request.body, type=_Get)
                    chunk = await self._streams.get_key(caller, wanted.Key_stream_ID, wanted.index)
                    return _chunk(chunk)
                case b"close":
                    closing = msgspec.json.decode(request.body, type=_Close)
                    status = await self._streams.close(caller, closing.Key_stream_ID)
                    return _json(status=status)
                case _:
                    return refuse(404, "there is nothing at this path")
        except (msgspec.DecodeError, UnicodeDecodeError):
            return refuse(400, "bad request format")


def _json(**members: object) -> Response:
    return Response(200, msgspec.json.encode(members))


def _chunk(chunk: Chunk) -> Response:
    """Write a chunk by hand, so that no value holds the key."""
    key = b'""' if chunk.key is None else b'"%b"' % base64.b64encode(chunk.key.reveal())
    head = b'{"index":%d,"status":%d,"Key_buffer":%b}' % (chunk.index, chunk.status, key)
    return Response(200, head)


def _name(stream: uuid.UUID, index: int) -> str:
    return str(uuid.uuid5(stream, str(index)))
