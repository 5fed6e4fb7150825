"""The way between two nodes' key managers over the link's own classical channel.

It needs no certificates: each message carries an HMAC-SHA-256 under a key made from the link's
initial secret and a fresh nonce of either end, with a counter per direction, so nothing can be
forged, replayed or turned back. Nothing on it is secret: it carries names, places and counts.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
from collections.abc import Callable, Sequence

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from qnx_hw.attempts import attempt
from qnx_hw.errors import ChannelError, QnxError
from qnx_hw.keys.kme import Kme
from qnx_hw.keys.messages import (
    Peer,
    Reply,
    Request,
    decode_replies,
    decode_requests,
    encode,
)
from qnx_hw.node.door import Way
from qnx_hw.node.peer_link import Channel
from qnx_hw.qkd.roles import Role
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

NONCE_BYTES = 32
TAG_BYTES = 32
SUFFIX = "/keys"
"""Ends the name by which this way greets at the peer's door."""
PAUSE_S = 0.5
QUESTION, ANSWER = b"?", b"!"
CALL_DEADLINE_S = 10.0


class KeyWire:
    """Keeps one key manager in touch with the peer at the other end of a link."""

    def __init__(
        self,
        kme: Kme,
        peer: str,
        role: Role,
        way: Way,
        channel_key: Callable[[], Secret],
        link: str = "",
    ) -> None:
        """`channel_key` raises `KeyExhausted` while the link has none."""
        self._kme = kme
        self._peer = peer
        self._role = role
        self._way = way
        self._channel_key = channel_key
        self._link = link

    async def run(self) -> None:
        """Connect again and again until cancelled."""
        while True:
            try:
                await attempt(self._meet())
            except* QnxError as errors:
                # The peer's absence shows in `Kme.is_connected`; the reason is for us.
                log.debug("the key managers' way to %s broke: %s", self._peer, errors.exceptions)
            await asyncio.sleep(PAUSE_S)

    async def _meet(self) -> None:
        async with self._way.channel() as channel:
            line = await SealedLine.open(channel, self._role, self._channel_key())
            way = WirePeer(line)
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(channel.keep_alive())
                tasks.create_task(self._serve(line, way))
                tasks.create_task(self._kme.attend(self._peer, way, self._link))

    async def _serve(self, line: SealedLine, way: WirePeer) -> None:
        async with asyncio.TaskGroup() as tasks:
            questions: asyncio.Queue[bytes] = asyncio.Queue(1)
            tasks.create_task(self._answer(line, questions))
            while True:
                message = await line.receive()
                if message[:1] == QUESTION:
                    await questions.put(message[1:])
                else:
                    way.settle(message[1:])

    async def _answer(self, line: SealedLine, questions: asyncio.Queue[bytes]) -> None:
        while True:
            requests = decode_requests(await questions.get())
            replies = await self._kme.answer(self._peer, requests)
            await line.send(ANSWER + encode(replies))


class WirePeer(Peer):
    """Asks over a sealed line, one message at a time."""

    def __init__(self, line: SealedLine) -> None:
        self._line = line
        self._reply: asyncio.Future[bytes] | None = None

    async def call(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self._reply = asyncio.get_running_loop().create_future()
        await self._line.send(QUESTION + encode(requests))
        try:
            async with asyncio.timeout(CALL_DEADLINE_S):
                return decode_replies(await self._reply, len(requests))
        except TimeoutError:
            raise ChannelError("the peer's key manager does not answer") from None
        finally:
            self._reply = None

    def settle(self, octets: bytes) -> None:
        """Take what came for the question that waits."""
        if self._reply is None or self._reply.done():
            raise ChannelError("the peer's key manager answers what was not asked")
        self._reply.set_result(octets)


class SealedLine:
    """Messages that nobody between the two ends can change, repeat or reorder."""

    def __init__(self, channel: Channel, role: Role, key: bytes) -> None:
        self._channel = channel
        self._key = key
        self._role = role
        self._sent = self._received = 0
        self._sending = asyncio.Lock()

    @classmethod
    async def open(cls, channel: Channel, role: Role, channel_key: Secret) -> SealedLine:
        """Exchange nonces and prove to each other that both hold the channel key."""
        ours = secrets.token_bytes(NONCE_BYTES)
        await channel.send(ours)
        theirs = await channel.receive()
        if len(theirs) != NONCE_BYTES:
            raise ChannelError("who connected does not speak the key managers' protocol")
        nonces = ours + theirs if role is Role.ALICE else theirs + ours
        key = HKDF(SHA256(), 32, salt=nonces, info=b"qnx key managers 1").derive(
            channel_key.reveal()
        )
        return cls(channel, role, key)

    async def send(self, message: bytes) -> None:
        """Send one message."""
        async with self._sending:
            tag = self._tag(self._role, self._sent, message)
            self._sent += 1
            await self._channel.send(tag + message)

    async def receive(self) -> bytes:
        """Return the peer's next message; `ChannelError` where it is not the peer's."""
        sealed = await self._channel.receive()
        tag, message = sealed[:TAG_BYTES], sealed[TAG_BYTES:]
        expected = self._tag(self._role.peer, self._received, message)
        self._received += 1
        if not hmac.compare_digest(tag, expected):
            raise ChannelError("a message between the key managers was forged or lost")
        return message

    def _tag(self, author: Role, number: int, message: bytes) -> bytes:
        text = author.value.encode() + number.to_bytes(8, "big") + message
        return hmac.digest(self._key, text, "sha256")
