"""The bus: how nodes, the controller and the screens of one network tell each other things.

Subjects are words joined by dots; in a pattern `*` stands for one word and a last `>` for one or
more. Key bits and key state never travel over it.

| place | what it is | who writes |
|---|---|---|
| bucket `routes`, key NODE | the node's newest route table | the controller |
| bucket `nodes`, key NODE | what the node says of itself | that node |
| stream `telemetry` = `qnx.telemetry.NODE` | one sample a second | that node |
| stream `ack` = `qnx.ack.NODE` | which table the node follows | that node |
| `qnx.ask.NODE.WHAT` | a question that the node answers | whoever may ask |

A publication waits for nobody: it reaches whoever subscribes now. What a node appends to a stream,
or puts into a bucket, is stored until it is read; a publication on a stream's subject is too.
"""

from __future__ import annotations

from abc import abstractmethod
from contextlib import AbstractAsyncContextManager
from typing import Protocol

import msgspec

from qnx_hw.bus.mailbox import Subscription, Watch

BUCKETS = ("routes", "nodes")
STREAMS = ("telemetry", "ack")
STREAM_MESSAGES = 100_000
"""What a stream keeps; the oldest goes first."""
MAX_PAYLOAD_BYTES = 1 << 20
REQUEST_DEADLINE_S = 2.0


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """A key's value in a bucket."""

    key: str
    value: bytes | None
    """None where the key was deleted."""
    revision: int
    """Grows with every change in the bucket."""


class StreamEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One stored message of a stream."""

    number: int
    """Grows by one from entry to entry; older entries may be gone."""
    source: str
    payload: bytes


class Bucket(Protocol):
    """Latest values by key."""

    @abstractmethod
    async def get(self, key: str) -> Entry | None:
        """Return what the key holds; None where it never held anything or was deleted."""

    @abstractmethod
    async def put(self, key: str, value: bytes, *, revision: int | None = None) -> int:
        """Store a value and return its revision.

        With `revision`, only over exactly that one (0: over nothing); `Conflict` otherwise.
        """

    @abstractmethod
    async def delete(self, key: str) -> None:
        """Forget a key's value; watchers are told."""

    @abstractmethod
    def watch(self, pattern: str = ">") -> AbstractAsyncContextManager[Watch[Entry]]:
        """Give each matching key's entry now and after every change, the newest only.

        A slow watcher skips values in between, never the last one; also across a lost connection.
        """


class Stream(Protocol):
    """A stored sequence of messages."""

    @abstractmethod
    async def append(self, source: str, payload: bytes) -> int:
        """Store a message under the name of the node that sends it; return its number."""

    @abstractmethod
    async def read(self, *, after: int = 0, limit: int = 100) -> tuple[StreamEntry, ...]:
        """Return the oldest entries with a number above `after`; none where there are none yet."""


class Bus(Protocol):
    """One participant's access to the bus; all methods belong to the event loop's thread.

    `BusAway` where the core cannot be reached: nothing was kept, so try again later or say it anew.
    `BusRefused` where this participant may not do that, or the message is malformed.
    """

    @property
    @abstractmethod
    def is_up(self) -> bool:
        """Whether the core is reachable now."""

    @abstractmethod
    async def publish(self, subject: str, payload: bytes) -> None:
        """Send to all that subscribe now; nothing is known about who got it."""

    @abstractmethod
    def subscribe(
        self, pattern: str, *, limit: int = 1024
    ) -> AbstractAsyncContextManager[Subscription]:
        """Receive what is published from now on; see `Subscription` for what a full box does."""

    @abstractmethod
    async def request(
        self, subject: str, payload: bytes, *, timeout_s: float = REQUEST_DEADLINE_S
    ) -> bytes:
        """Return the first answer; `NobodyAnswered` where none comes in time.

        Whoever answers publishes on the message's `reply_to`.
        """

    @abstractmethod
    def bucket(self, name: str) -> Bucket:
        """Return one of `BUCKETS`."""

    @abstractmethod
    def stream(self, name: str) -> Stream:
        """Return one of `STREAMS`."""
