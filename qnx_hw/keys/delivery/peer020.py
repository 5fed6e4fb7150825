"""Asking another key manager over TLS, in the form of ETSI GS QKD 020 V1.1.1.

Where the other offers to, it answers when all is done. One that does not accepts a transfer with
202, and posts its acknowledgement to this node's own listener for key managers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import httptools
import msgspec

from qnx_hw.errors import UNREADABLE, ChannelError
from qnx_hw.keys.delivery import values020 as values
from qnx_hw.keys.delivery.acks020 import Acknowledgements
from qnx_hw.keys.delivery.identity import client_name
from qnx_hw.keys.delivery.values020 import EXT_KEYS, LEDGERS, MAX_BODY_BYTES, VERSIONS_PATH
from qnx_hw.keys.messages import Done, Peer, Refused, Reply, Reserve, decode_replies, encode
from qnx_hw.keys.messages import Request as Question

CONNECT_DEADLINE_S = 5.0
ANSWER_DEADLINE_S = 10.0


@dataclass(frozen=True, slots=True)
class CallBack:
    """How a key manager that does not answer at once reaches this one."""

    acks: Acknowledgements
    url: str


class TlsPeer(Peer):
    """Asks another key manager over one kept connection; `open` makes one."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, name: str
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._name = name
        self._call_back: CallBack | None = None
        """Where the other does not answer at once."""

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext, name: str) -> TlsPeer:
        """Connect; `ChannelError` where nobody is there, or another key manager than `name`."""
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        except (OSError, TimeoutError) as error:
            raise ChannelError(f"no key manager at {host}:{port}: {error}") from error
        peer = cls(reader, writer, name)
        if client_name(writer.get_extra_info("ssl_object")) != name:
            peer.close()
            raise ChannelError(f"the certificate at {host}:{port} is not that of '{name}'")
        return peer

    async def agree(self, call_back: CallBack | None) -> None:
        """Learn what the other speaks; `ChannelError` where that is nothing that serves."""
        try:
            offer = msgspec.json.decode(await self._get(VERSIONS_PATH), type=values.Versions)
        except UNREADABLE:
            raise ChannelError(f"'{self._name}' does not say what it speaks") from None
        if values.VERSION not in offer.versions:
            raise ChannelError(f"'{self._name}' does not speak {values.VERSION} of ETSI QKD 020")
        if values.SYNCHRONOUS not in offer.capabilities:
            if call_back is None:
                raise ChannelError(f"'{self._name}' has to call back, and this node has no `peers`")
            self._call_back = call_back

    def close(self) -> None:
        """Drop the connection."""
        self._writer.transport.abort()

    async def watch(self) -> None:
        """Wait until the peer is gone, which raises `ChannelError`."""
        with suppress(OSError):
            await self._writer.wait_closed()
        raise ChannelError("the other key manager closed the connection")

    async def call(self, requests: Sequence[Question]) -> Sequence[Reply]:
        replies: list[Reply | None] = [None] * len(requests)
        transfers: dict[tuple[str, str, tuple[str, ...]], list[int]] = {}
        others = []
        for index, each in enumerate(requests):
            if isinstance(each, Reserve):
                group = (each.link, each.order.master, each.order.holders)
                transfers.setdefault(group, []).append(index)
            else:
                others.append(index)
        for indices in transfers.values():
            reserves = [each for at in indices if isinstance(each := requests[at], Reserve)]
            by_key = await self._transfer(reserves)
            for at, reply in zip(indices, _outcomes(reserves, by_key), strict=True):
                replies[at] = reply
        if others:
            answer = await self.post(LEDGERS, encode([requests[at] for at in others]))
            for at, reply in zip(others, decode_replies(answer, len(others)), strict=True):
                replies[at] = reply
        return [reply for reply in replies if reply is not None]

    async def _transfer(self, reserves: Sequence[Reserve]) -> Mapping[str, values.Ack]:
        """Return the acknowledgement of each key."""
        if (back := self._call_back) is None:
            return _by_key(await self.post(EXT_KEYS, values.transfer(reserves)))
        names = [name for each in reserves for name in each.order.key_ids]
        with back.acks.awaiting(self._name, names) as awaited:
            await self.post(EXT_KEYS, values.transfer(reserves, back.url), 202)
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    await awaited.is_complete.wait()
            except TimeoutError:
                raise ChannelError(f"'{self._name}' accepted keys and acknowledged none") from None
            return awaited.by_key

    async def post(self, path: bytes, body: bytes, expected: int = 200) -> bytes:
        """Return the answer to a request; `ChannelError` where it is not as expected."""
        head = b"POST %b HTTP/1.1\r\nHost: kme\r\nContent-Type: application/json\r\n" % path
        return await self._ask(head + b"Content-Length: %d\r\n\r\n" % len(body) + body, expected)

    async def _get(self, path: bytes) -> bytes:
        return await self._ask(b"GET %b HTTP/1.1\r\nHost: kme\r\n\r\n" % path, 200)

    async def _ask(self, request: bytes, expected: int) -> bytes:
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                self._writer.write(request)
                await self._writer.drain()
                status, answer = await _response(self._reader)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise ChannelError(f"the other key manager is lost: {error}") from error
        if status != expected:
            raise ChannelError(f"the other key manager refused: {status}")
        return answer


class _Collector:
    """Takes one response; httptools calls the `on_` methods."""

    def __init__(self) -> None:
        self.body = bytearray()
        self.is_complete = False

    def on_body(self, piece: bytes) -> None:
        self.body += piece

    def on_message_complete(self) -> None:
        self.is_complete = True


async def _response(reader: asyncio.StreamReader) -> tuple[int, bytes]:
    collector = _Collector()
    parser: Any = httptools.HttpResponseParser(collector)  # it has no types
    while not collector.is_complete:
        piece = await reader.read(1 << 16)
        if not piece or len(collector.body) > MAX_BODY_BYTES:
            raise ChannelError("the other key manager closed the connection")
        parser.feed_data(piece)
    return parser.get_status_code(), bytes(collector.body)


def _by_key(acks: bytes) -> Mapping[str, values.Ack]:
    try:
        found = msgspec.json.decode(acks, type=list[values.Ack])
    except UNREADABLE:
        raise ChannelError("the other key manager's acknowledgement cannot be read") from None
    return {holder.key_id.lower(): ack for ack in found for holder in ack.key_id_container}


def _outcomes(reserves: Sequence[Reserve], by_key: Mapping[str, values.Ack]) -> list[Reply]:
    """Say what became of each reservation: done where all its keys were acknowledged as relayed."""
    replies: list[Reply] = []
    for each in reserves:
        acks = [by_key.get(name) for name in each.order.key_ids]
        amiss = [ack for ack in acks if ack is None or ack.ack_status != values.RELAYED]
        if not amiss:
            replies.append(Done())
            continue
        reason = "a key was not acknowledged" if amiss[0] is None else amiss[0].message
        replies.append(Refused(reason or "a key was not relayed"))
    return replies
