"""Asking another key manager over TLS, in the form of ETSI GS QKD 020 V1.1.1."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httptools
import msgspec

from qnx_hw.errors import ChannelError
from qnx_hw.keys.delivery import values020 as values
from qnx_hw.keys.delivery.identity import client_name
from qnx_hw.keys.delivery.values020 import EXT_KEYS, LEDGERS, MAX_BODY_BYTES
from qnx_hw.keys.messages import Done, Peer, Refused, Reply, Reserve, decode_replies, encode
from qnx_hw.keys.messages import Request as Question

CONNECT_DEADLINE_S = 5.0
ANSWER_DEADLINE_S = 10.0


class TlsPeer(Peer):
    """Asks another key manager over one kept connection; `open` makes one."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, host: str, port: int, tls: ssl.SSLContext, name: str) -> TlsPeer:
        """Connect; `ChannelError` where nobody is there, or another key manager than `name`."""
        try:
            async with asyncio.timeout(CONNECT_DEADLINE_S):
                reader, writer = await asyncio.open_connection(host, port, ssl=tls)
        except (OSError, TimeoutError) as error:
            raise ChannelError(f"no key manager at {host}:{port}: {error}") from error
        peer = cls(reader, writer)
        if client_name(writer.get_extra_info("ssl_object")) != name:
            peer.close()
            raise ChannelError(f"the certificate at {host}:{port} is not that of '{name}'")
        return peer

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
            acks = await self.post(EXT_KEYS, values.transfer(reserves))
            for at, reply in zip(indices, _outcomes(reserves, acks), strict=True):
                replies[at] = reply
        if others:
            answer = await self.post(LEDGERS, encode([requests[at] for at in others]))
            for at, reply in zip(others, decode_replies(answer, len(others)), strict=True):
                replies[at] = reply
        return [reply for reply in replies if reply is not None]

    async def post(self, path: bytes, body: bytes) -> bytes:
        """Return the answer to a request; `ChannelError` where it is not 200."""
        head = b"POST %b HTTP/1.1\r\nHost: kme\r\nContent-Type: application/json\r\n" % path
        try:
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                self._writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
                await self._writer.drain()
                status, answer = await _response(self._reader)
        except (OSError, TimeoutError, httptools.HttpParserError) as error:
            raise ChannelError(f"the other key manager is lost: {error}") from error
        if status != 200:
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


def _outcomes(reserves: Sequence[Reserve], acks: bytes) -> list[Reply]:
    """Read the acknowledgements of a transfer, which are in the order of its parts."""
    try:
        found = msgspec.json.decode(acks, type=list[values.Ack])
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise ChannelError("the other key manager's acknowledgement cannot be read") from None
    if len(found) != len(reserves):
        raise ChannelError("the other key manager did not acknowledge each key")
    replies: list[Reply] = []
    for each, ack in zip(reserves, found, strict=True):
        names = tuple(holder.key_id for holder in ack.key_id_container)
        is_done = ack.ack_status == values.RELAYED and names == each.order.key_ids
        replies.append(Done() if is_done else Refused(ack.message or ack.ack_status))
    return replies
