"""Files from node to node: stored at the source until the destination has them, whole.

A parcel goes on where it stopped: the destination says how many chunks it has. It counts as arrived
when the destination has checked its SHA-256, and only then does the source forget it.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import logging
import secrets
import shutil
import socket
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack
from pathlib import Path

import msgspec

from qnx_hw.edge.edge import Edge
from qnx_hw.edge.sealed_file import CHUNK_BYTES, SealedFile, Sealer, new_key, write_private
from qnx_hw.edge.traffic import Traffic
from qnx_hw.edge.user import User, read_message, user_pair
from qnx_hw.errors import UNREADABLE, ConfigError, QnxError
from qnx_hw.secret import Secret

log = logging.getLogger(__name__)

SERVICE = "files"
RETRY_S = 1.0
ANSWER_DEADLINE_S = 60.0
MAX_PARCEL_BYTES = 1 << 40
META = "meta.json"


class Parcel(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a file on its way; `key` is sealed."""

    name: str
    """A random one, the same at both ends."""
    file: str
    size: int
    source: str
    destination: str
    sha256: bytes
    key: str
    time_s: float

    @property
    def chunks(self) -> int:
        """How many chunks it has."""
        return -(-self.size // CHUNK_BYTES)


class Offer(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the source says first."""

    name: str
    file: str
    size: int
    sha256: bytes


class Have(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What the destination answers: the chunks it has, and whether that is all of it, checked."""

    chunks: int
    is_whole: bool = False
    reason: str = ""


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a parcel is."""

    sent_bytes: int
    size: int
    state: str
    """`waiting`, `sending`, `arrived` or `failed`."""
    message: str = ""
    route: tuple[str, ...] = ()


def traffic_between(source: str, destination: str) -> Traffic:
    """Return the traffic of files; its name is none that a network file can have."""
    return Traffic(f"files {source} {destination}", SERVICE, source, destination)


class Store:
    """A folder of parcels."""

    def __init__(self, folder: Path, sealer: Sealer) -> None:
        self._folder = folder
        self._sealer = sealer

    def new(self, offer: Offer, source: str, destination: str) -> Parcel:
        """Make a place for a parcel."""
        key = new_key()
        parcel = Parcel(
            name=offer.name,
            file=offer.file,
            size=offer.size,
            source=source,
            destination=destination,
            sha256=offer.sha256,
            key=base64.b64encode(self._sealer.seal(key, f"parcel {offer.name}")).decode(),
            time_s=time.time(),
        )
        write_private(self._place(offer.name) / META, msgspec.json.encode(parcel))
        return parcel

    def get(self, name: str) -> Parcel | None:
        """Return a parcel."""
        try:
            return msgspec.json.decode((self._place(name) / META).read_bytes(), type=Parcel)
        except (OSError, *UNREADABLE):
            return None

    def all(self) -> list[Parcel]:
        """Return all parcels, the oldest first."""
        names = [path.parent.name for path in self._folder.glob(f"*/{META}")]
        found = [parcel for name in names if (parcel := self.get(name)) is not None]
        return sorted(found, key=lambda parcel: parcel.time_s)

    def content(self, parcel: Parcel) -> SealedFile:
        """Return a parcel's chunks."""
        sealed = base64.b64decode(parcel.key)
        key: Secret = self._sealer.open(sealed, f"parcel {parcel.name}")
        return SealedFile(self._place(parcel.name) / "chunks", key)

    def forget(self, name: str) -> None:
        """Delete a parcel: its key is gone, and with it the content."""
        shutil.rmtree(self._place(name), ignore_errors=True)

    def move(self, name: str, to: Store) -> None:
        """Hand a parcel over to another store on the same disk."""
        to._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._place(name).rename(to._place(name))

    def bytes(self) -> int:
        """Return how much waits."""
        return sum(parcel.size for parcel in self.all())

    def _place(self, name: str) -> Path:
        if not (name.isalnum() and len(name) == 32):
            raise ConfigError(f"'{name[:40]}' is no parcel's name")
        return self._folder / name


class PostOffice:
    """Sends and receives parcels at one node."""

    def __init__(self, edge: Edge, folder: Path, sealer: Sealer, limit_bytes: int) -> None:
        self._edge = edge
        self._limit_bytes = limit_bytes
        self.outbox = Store(folder / "outbox", sealer)
        self.inbox = Store(folder / "inbox", sealer)
        self._coming = Store(folder / "coming", sealer)
        self._progress: dict[str, Progress] = {}
        self._changed = asyncio.Condition()
        edge.services[SERVICE] = self._receive_from

    def resume(self) -> None:
        """Go on with what waits since before the start."""
        for parcel in self.outbox.all():
            self._edge.start(self._send(parcel))

    async def post(
        self, file: str, size: int, destination: str, reader: asyncio.StreamReader
    ) -> str:
        """Store a file that comes from a user, begin to send it, and return its name."""
        if not 0 <= size <= MAX_PARCEL_BYTES or self.outbox.bytes() + size > self._limit_bytes:
            raise QnxError(f"there is no room for {size} bytes in the queue of this node")
        name = secrets.token_hex(16)
        offer = Offer(name=name, file=file, size=size, sha256=b"")
        parcel = self._coming.new(offer, self._edge.node, destination)
        content, digest, left, number = self._coming.content(parcel), hashlib.sha256(), size, 0
        with ExitStack() as stack:
            stack.callback(self._coming.forget, name)
            while left:
                chunk = await reader.readexactly(min(CHUNK_BYTES, left))
                digest.update(chunk)
                await asyncio.to_thread(content.write, number, chunk)
                left, number = left - len(chunk), number + 1
            stack.pop_all()
        parcel = msgspec.structs.replace(parcel, sha256=digest.digest())
        write_private(self._coming._place(name) / META, msgspec.json.encode(parcel))
        self._coming.move(name, self.outbox)
        self._edge.start(self._send(parcel))
        return name

    async def follow(self, name: str) -> AsyncIterator[Progress]:
        """Yield how far a parcel is, until it arrived or failed."""
        last = None
        while last is None or last.state not in ("arrived", "failed"):
            async with self._changed:
                while self._progress.get(name) is last:
                    await self._changed.wait()
                last = self._progress.get(name)
            if last is not None:
                yield last

    async def _send(self, parcel: Parcel) -> None:
        traffic = traffic_between(parcel.source, parcel.destination)
        await self._tell(parcel, 0, "waiting")
        while True:
            try:
                await self._try(parcel, traffic)
            except (QnxError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                await self._tell(parcel, 0, "waiting", str(error) or "the way broke")
                await asyncio.sleep(RETRY_S)
                continue
            self.outbox.forget(parcel.name)
            return

    async def _try(self, parcel: Parcel, traffic: Traffic) -> None:
        session = await self._edge.open(traffic)
        async with user_pair() as (user, theirs):
            session.start(theirs, is_opener=True)
            await user.write(
                Offer(name=parcel.name, file=parcel.file, size=parcel.size, sha256=parcel.sha256)
            )
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                have = await read_message(user.reader, Have)
            content = self.outbox.content(parcel)
            for number in range(have.chunks, parcel.chunks):
                chunk = await asyncio.to_thread(content.read, number)
                await user.write_octets(chunk)
                sent = min(parcel.size, (number + 1) * CHUNK_BYTES)
                await self._tell(parcel, sent, "sending", route=session.path)
            async with asyncio.timeout(ANSWER_DEADLINE_S):
                got = have if have.is_whole else await read_message(user.reader, Have)
        if got.is_whole:
            await self._tell(parcel, parcel.size, "arrived", route=session.path)
        elif got.reason:
            await self._tell(parcel, 0, "failed", got.reason)
        else:
            raise QnxError("the destination did not say that it has all")

    async def _tell(
        self,
        parcel: Parcel,
        sent: int,
        state: str,
        message: str = "",
        route: tuple[str, ...] = (),
    ) -> None:
        progress = Progress(
            sent_bytes=sent, size=parcel.size, state=state, message=message, route=route
        )
        async with self._changed:
            self._progress[parcel.name] = progress
            self._changed.notify_all()

    async def _receive_from(self, traffic: Traffic) -> socket.socket:
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._edge.hold(ours, self._receive(ours, traffic.source))
        return theirs

    async def _receive(self, circuit: socket.socket, source: str) -> None:
        async with User.of(circuit) as user:
            self._edge.held.discard(circuit)
            try:
                async with asyncio.timeout(ANSWER_DEADLINE_S):
                    offer = await read_message(user.reader, Offer)
                await self._take(user, offer, source)
            except (QnxError, OSError, TimeoutError, asyncio.IncompleteReadError) as error:
                log.info("%s: a file from '%s' stopped: %s", self._edge.node, source, error)

    async def _take(self, user: User, offer: Offer, source: str) -> None:
        if self.inbox.get(offer.name) is not None:
            await user.write(Have(chunks=-(-offer.size // CHUNK_BYTES), is_whole=True))
            return
        if self.inbox.bytes() + offer.size > self._limit_bytes:
            await user.write(Have(chunks=1 << 62, reason="there is no room at the destination"))
            return
        parcel = self._coming.get(offer.name) or self._coming.new(offer, source, self._edge.node)
        if (parcel.source, parcel.size, parcel.sha256) != (source, offer.size, offer.sha256):
            raise QnxError("a parcel of this name is another one")
        content = self._coming.content(parcel)
        have = min(content.chunks(), parcel.size // CHUNK_BYTES)
        await user.write(Have(chunks=have))
        for number in range(have, parcel.chunks):
            size = min(CHUNK_BYTES, parcel.size - number * CHUNK_BYTES)
            chunk = await user.read_octets(size)
            await asyncio.to_thread(content.write, number, chunk)
        if await asyncio.to_thread(_digest, content, parcel.chunks) == parcel.sha256:
            self._coming.move(parcel.name, self.inbox)
            await user.write(Have(chunks=parcel.chunks, is_whole=True))
        else:
            self._coming.forget(parcel.name)
            raise QnxError("the content is not what was announced; it starts over")


def _digest(content: SealedFile, chunks: int) -> bytes:
    digest = hashlib.sha256()
    for number in range(chunks):
        digest.update(content.read(number))
    return digest.digest()
