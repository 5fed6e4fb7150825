"""Key managers among themselves over TLS, in the form of ETSI GS QKD 020 V1.1.1."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import httptools
import msgspec

from qnx_hw.errors import ChannelError, RequestRefused
from qnx_hw.keys.delivery import values020 as values
from qnx_hw.keys.delivery.http import Request, Response
from qnx_hw.keys.delivery.identity import client_name
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.messages import (
    Done,
    Peer,
    Refused,
    Reply,
    Reserve,
    decode_replies,
    decode_requests,
    encode,
)
from qnx_hw.keys.messages import Request as Question

VERSIONS = b"/kmapi/versions"
EXT_KEYS = b"/kmapi/v1/ext_keys"
VOID = b"/kmapi/v1/ext_keys/void"
LEDGERS = b"/kmapi/v1/qnx/ledgers"
"""Ours: what the standard has no words for."""
METHODS = {VERSIONS: "GET", EXT_KEYS: "POST", VOID: "POST", LEDGERS: "POST"}
CONNECT_DEADLINE_S = 5.0
ANSWER_DEADLINE_S = 10.0
MAX_BODY_BYTES = 8 << 20
"""`MOST_REQUESTS` of `MOST_KEYS` names each, about 60 bytes a name; also for an answer."""


class PeerDelivery:
    """Answers the key managers of other nodes; each is known by its certificate's name, a node."""

    def __init__(self, kme: Kme) -> None:
        self._kme = kme

    async def answer(self, request: Request) -> Response:
        """Answer one request."""
        try:
            return Response(200, await self._answer(self._checked_peer(request), request))
        except RequestRefused as error:
            return problem(error.status, str(error))
        except ChannelError:
            return problem(400, "missing-parameters")

    def _checked_peer(self, request: Request) -> str:
        if request.client is None or request.client not in self._kme.peers:
            raise RequestRefused("unauthorized", 401)
        if request.path not in METHODS:
            raise RequestRefused("void-request-not-understood", 404)
        if METHODS[request.path] != request.method:
            raise RequestRefused("missing-parameters", 405)
        return request.client

    async def _answer(self, peer: str, request: Request) -> bytes:
        match request.path:
            case b"/kmapi/versions":
                return values.VERSIONS
            case b"/kmapi/v1/ext_keys":
                reserves = values.reservations(request.body)
                replies = await self._kme.answer(peer, reserves)
                return _acks(reserves, replies)
            case b"/kmapi/v1/ext_keys/void":
                return await self._void(peer, request.body)
            case _:
                questions = decode_requests(request.body)
                return encode(await self._kme.answer(peer, questions))

    async def _void(self, peer: str, body: bytes) -> bytes:
        try:
            asked = msgspec.json.decode(body, type=values.Void)
        except (msgspec.DecodeError, UnicodeDecodeError):
            raise RequestRefused("void-request-not-understood", 400) from None
        if not asked.key_ids:
            raise RequestRefused("no-key-ids-or-confirmation", 400)
        voided = await self._kme.void(peer, asked.initiator_sae_id, asked.key_ids)
        return msgspec.json.encode(
            [
                values.Ack(
                    key_id_container=(values.KeyIdHolder(key_id=name),),
                    ack_status=values.VOIDED if name in voided else values.ABSENT,
                    initiator_sae_id=asked.initiator_sae_id,
                    target_sae_ids=asked.target_sae_ids,
                )
                for name in asked.key_ids
            ]
        )


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
            acks = await self._post(EXT_KEYS, values.transfer(reserves))
            for at, reply in zip(indices, _outcomes(reserves, acks), strict=True):
                replies[at] = reply
        if others:
            answer = await self._post(LEDGERS, encode([requests[at] for at in others]))
            for at, reply in zip(others, decode_replies(answer, len(others)), strict=True):
                replies[at] = reply
        return [reply for reply in replies if reply is not None]

    async def _post(self, path: bytes, body: bytes) -> bytes:
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


def problem(status: int, kind: str) -> Response:
    """Return an error as RFC 9457 writes it."""
    title = kind.replace("-", " ")
    body = values.Problem(type=values.PROBLEMS + kind, status=status, title=title)
    return Response(status, msgspec.json.encode(body))


def _acks(reserves: Sequence[Reserve], replies: Sequence[Reply]) -> bytes:
    return msgspec.json.encode(
        [
            values.Ack(
                key_id_container=tuple(
                    values.KeyIdHolder(key_id=name) for name in each.order.key_ids
                ),
                ack_status=values.RELAYED if isinstance(reply, Done) else values.FAILED,
                initiator_sae_id=each.order.master,
                target_sae_ids=each.order.holders,
                message=reply.reason if isinstance(reply, Refused) else "",
            )
            for each, reply in zip(reserves, replies, strict=True)
        ]
    )


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
