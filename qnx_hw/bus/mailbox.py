"""What waits for one reader: messages of a subscription, newest values of a watch."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, Protocol, TypeVar

import msgspec


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """What was published on a subject."""

    subject: str
    payload: bytes
    reply_to: str = ""
    """Where an answer is awaited; empty where none is."""


class Subscription:
    """Messages in the order they came; when full, the oldest is dropped and counted."""

    def __init__(self, limit: int) -> None:
        self._waiting: deque[Message] = deque(maxlen=limit)
        self._bell = asyncio.Event()
        self.dropped = 0

    def put(self, message: Message) -> None:
        """Add a message; called by the bus."""
        if len(self._waiting) == self._waiting.maxlen:
            self.dropped += 1
        self._waiting.append(message)
        self._bell.set()

    async def get(self) -> Message:
        """Return the next message; waits until there is one."""
        while not self._waiting:
            self._bell.clear()
            await self._bell.wait()
        return self._waiting.popleft()

    def __aiter__(self) -> Subscription:
        return self

    async def __anext__(self) -> Message:
        return await self.get()


class Revised(Protocol):
    """A value with the key it stands under and a revision that grows."""

    @property
    def key(self) -> str:
        """The key."""

    @property
    def revision(self) -> int:
        """The revision."""


_Revised = TypeVar("_Revised", bound=Revised)


class Watch(Generic[_Revised]):
    """The newest value of each key, bounded by the number of keys; older ones are overwritten."""

    def __init__(self) -> None:
        self._waiting: dict[str, _Revised] = {}
        self._seen: dict[str, int] = {}
        self._bell = asyncio.Event()

    def put(self, entry: _Revised) -> None:
        """Add a value unless a newer one of its key came before; called by the bus."""
        if entry.revision > self._seen.get(entry.key, 0):
            self._seen[entry.key] = entry.revision
            self._waiting[entry.key] = entry
            self._bell.set()

    def knows(self, key: str) -> bool:
        """Whether a value of this key was given before."""
        return key in self._seen

    def start_over(self) -> None:
        """Take any revision from now on; for a store that began anew."""
        self._seen = dict.fromkeys(self._seen, 0)

    async def get(self) -> _Revised:
        """Return the next value; waits until there is one."""
        while not self._waiting:
            self._bell.clear()
            await self._bell.wait()
        return self._waiting.pop(next(iter(self._waiting)))

    def __aiter__(self) -> Watch[_Revised]:
        return self

    async def __anext__(self) -> _Revised:
        return await self.get()
