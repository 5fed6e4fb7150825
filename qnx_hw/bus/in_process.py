"""The bus of one process: no server, nothing stored beyond the process' life."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import islice

from qnx_hw.bus.interface import (
    BUCKETS,
    MAX_PAYLOAD_BYTES,
    REQUEST_DEADLINE_S,
    STREAM_MESSAGES,
    STREAMS,
    Bucket,
    Bus,
    Entry,
    Stream,
    StreamEntry,
)
from qnx_hw.bus.mailbox import Message, Subscription, Watch
from qnx_hw.bus.subjects import check, check_pattern, matches
from qnx_hw.errors import BusRefused, Conflict, NobodyAnswered


class InProcessBus(Bus):
    """Hands messages over within one event loop; always up."""

    def __init__(self) -> None:
        self._subscriptions: list[tuple[str, Subscription]] = []
        self._buckets = {name: _InProcessBucket() for name in BUCKETS}
        self._streams = {name: _InProcessStream(self, name) for name in STREAMS}
        self._requests = 0

    @property
    def is_up(self) -> bool:
        """Always."""
        return True

    async def publish(self, subject: str, payload: bytes) -> None:
        """Put it into the boxes of all that subscribe now."""
        self._deliver(Message(subject=check(subject), payload=_limited(payload)))

    @asynccontextmanager
    async def subscribe(self, pattern: str, *, limit: int = 1024) -> AsyncIterator[Subscription]:
        """Receive what matches while the context lasts."""
        entry = (check_pattern(pattern), Subscription(limit))
        self._subscriptions.append(entry)
        try:
            yield entry[1]
        finally:
            self._subscriptions = [each for each in self._subscriptions if each is not entry]

    async def request(
        self, subject: str, payload: bytes, *, timeout_s: float = REQUEST_DEADLINE_S
    ) -> bytes:
        """Publish with a place for the answer and wait for it."""
        self._requests += 1
        inbox = f"_INBOX.{self._requests}"
        message = Message(subject=check(subject), payload=_limited(payload), reply_to=inbox)
        async with self.subscribe(inbox, limit=1) as answers:
            if not self._deliver(message):
                raise NobodyAnswered(f"nobody listens on {subject}")
            try:
                async with asyncio.timeout(timeout_s):
                    return (await answers.get()).payload
            except TimeoutError as error:
                raise NobodyAnswered(f"no answer on {subject} within {timeout_s:g} s") from error

    def bucket(self, name: str) -> Bucket:
        """Return a bucket."""
        if name not in self._buckets:
            raise BusRefused(f"there is no bucket '{name}'; there is {', '.join(BUCKETS)}")
        return self._buckets[name]

    def stream(self, name: str) -> Stream:
        """Return a stream."""
        if name not in self._streams:
            raise BusRefused(f"there is no stream '{name}'; there is {', '.join(STREAMS)}")
        return self._streams[name]

    def _deliver(self, message: Message) -> int:
        for name, stream in self._streams.items():
            if matches(f"qnx.{name}.*", message.subject):
                stream.store(message.subject.rpartition(".")[2], message.payload)
        boxes = [box for pattern, box in self._subscriptions if matches(pattern, message.subject)]
        for box in boxes:
            box.put(message)
        return len(boxes)


class _InProcessBucket(Bucket):
    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}
        self._watches: list[tuple[str, Watch[Entry]]] = []
        self._revision = 0

    async def get(self, key: str) -> Entry | None:
        entry = self._entries.get(check(key))
        return None if entry is None or entry.value is None else entry

    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int:
        current = await self.get(key)
        at = current.revision if current is not None else 0
        if revision not in (None, at):
            raise Conflict(f"'{key}' is at revision {at}, not {revision}")
        return self._set(key, _limited(value))

    async def delete(self, key: str) -> None:
        if await self.get(key) is not None:
            self._set(key, None)

    @asynccontextmanager
    async def watch(self, pattern: str = ">") -> AsyncIterator[Watch[Entry]]:
        entry = (check_pattern(pattern), Watch[Entry]())
        for key, held in self._entries.items():
            if matches(pattern, key) and held.value is not None:
                entry[1].put(held)
        self._watches.append(entry)
        try:
            yield entry[1]
        finally:
            self._watches = [each for each in self._watches if each is not entry]

    def _set(self, key: str, value: bytes | None) -> int:
        self._revision += 1
        entry = self._entries[key] = Entry(key=key, value=value, revision=self._revision)
        for pattern, watch in self._watches:
            if matches(pattern, key):
                watch.put(entry)
        return self._revision


class _InProcessStream(Stream):
    def __init__(self, bus: InProcessBus, name: str) -> None:
        self._bus = bus
        self._name = name
        self._entries: deque[StreamEntry] = deque(maxlen=STREAM_MESSAGES)
        self._number = 0

    async def append(self, source: str, payload: bytes) -> int:
        await self._bus.publish(f"qnx.{self._name}.{source}", payload)
        return self._number

    async def read(self, *, after: int = 0, limit: int = 100) -> tuple[StreamEntry, ...]:
        oldest = self._entries[0].number if self._entries else 1
        start = max(0, after + 1 - oldest)
        return tuple(islice(self._entries, start, start + limit))

    def store(self, source: str, payload: bytes) -> None:
        self._number += 1
        self._entries.append(StreamEntry(number=self._number, source=source, payload=payload))


def _limited(payload: bytes) -> bytes:
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise BusRefused(f"a message has at most {MAX_PAYLOAD_BYTES} bytes, not {len(payload)}")
    return payload
