"""What callers hand to a link's I/O thread, and what they wait for."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, InvalidStateError
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Protocol

Matcher = Callable[[bytes], bool]
"""Whether a message is the reply that a request waits for."""


_ends_s: ContextVar[float] = ContextVar("ends_s", default=math.inf)


@contextmanager
def together(timeout_s: float | None) -> Iterator[None]:
    """Let all that this thread asks of links within the block end after `timeout_s` in all.

    A request's own deadline counts where it is earlier; None changes nothing. A stop is sent all
    the same.
    """
    if timeout_s is None:
        yield
        return
    token = _ends_s.set(min(_ends_s.get(), time.monotonic() + timeout_s))
    try:
        yield
    finally:
        _ends_s.reset(token)


@contextmanager
def overtime(extra_s: float) -> Iterator[None]:
    """Let what sets things right after a failure take `extra_s`, however late it is already."""
    token = _ends_s.set(max(_ends_s.get(), time.monotonic() + extra_s))
    try:
        yield
    finally:
        _ends_s.reset(token)


def ends_s(timeout_s: float) -> float:
    """Return when a request that starts now must have its reply."""
    return min(_ends_s.get(), time.monotonic() + timeout_s)


def left_s(timeout_s: float) -> float:
    """Return how long a wait may take that would like `timeout_s`."""
    return max(ends_s(timeout_s) - time.monotonic(), 0.0)


class Priority(IntEnum):
    """Who goes first; a stop does not even wait for the reply that is under way."""

    STOP = 0
    COMMAND = 1
    POLL = 2


@dataclass(order=True, slots=True)
class Request:
    """Bytes to send and the reply to wait for; without a matcher the future ends when sent."""

    priority: Priority
    number: int
    payload: bytes = field(compare=False)
    matcher: Matcher | None = field(compare=False)
    deadline_s: float = field(compare=False)
    future: Future[bytes] = field(compare=False, default_factory=Future)

    def is_abandoned(self) -> bool:
        """Whether nobody waits for the reply any more."""
        return self.future.cancelled()


@dataclass(frozen=True, slots=True)
class KeepAlive:
    """Bytes that a device wants to see regularly."""

    payload: bytes
    period_s: float


@dataclass(frozen=True, slots=True)
class Fence:
    """A harmless question whose answer cannot be taken for another's."""

    payload: bytes
    matcher: Matcher


class Cancel(Protocol):
    """Something that says whether its owner lost interest, as `threading.Event` does."""

    def is_set(self) -> bool: ...


@dataclass(frozen=True, slots=True)
class LinkTraits:
    """How a link must treat its device; from the device's manual."""

    quiet_s: float = 0.05
    """A line on which nothing came for so long will bring no late reply any more."""
    stale_s: float | None = None
    """After so long without the rest, the start of a message is forgotten (protocols without
    delimiters resynchronise so); None keeps it."""
    keep_alive: KeepAlive | None = None
    fence: Fence | None = None
    """Asked after a request that got no reply: what comes before its answer is nobody's, however
    late it comes, as long as the device answers in order."""
    queue_limit: int = 256


@dataclass(slots=True)
class Counters:
    """What happened on a link since it was opened; written by its thread."""

    requests: int = 0
    timeouts: int = 0
    unsolicited: int = 0
    discarded_bytes: int = 0
    stream_bytes: int = 0
    lost_stream_bytes: int = 0

    def as_mapping(self) -> dict[str, int]:
        """Return the counters by name."""
        return {name: getattr(self, name) for name in self.__slots__}


class ByteStream:
    """Bytes of a running stream, buffered up to a limit.

    When the buffer is full the newest bytes are dropped and counted; nothing is lost silently.
    """

    def __init__(self, limit_bytes: int) -> None:
        self._limit_bytes = limit_bytes
        self._changed = threading.Condition()
        self._chunks: list[bytes] = []
        self._size = 0
        self._lost_bytes = 0
        self._error: Exception | None = None

    def put(self, received: bytes) -> int:
        """Add bytes, from the I/O thread; return how many had to be dropped."""
        with self._changed:
            if self._lost_bytes or self._size + len(received) > self._limit_bytes:
                self._lost_bytes += len(received)
                self._changed.notify_all()
                return len(received)
            self._chunks.append(received)
            self._size += len(received)
            self._changed.notify_all()
            return 0

    def fail(self, error: Exception) -> None:
        """End the stream, once what waits was read."""
        with self._changed:
            self._error = self._error or error
            self._changed.notify_all()

    def read(self, timeout_s: float) -> tuple[bytes, int]:
        """Return the bytes that wait, and how many were dropped behind them.

        Waits up to `timeout_s` for the first byte and returns nothing after it; raises the link's
        error once all bytes were read.
        """
        with self._changed:
            self._changed.wait_for(
                lambda: self._chunks or self._lost_bytes or self._error is not None, timeout_s
            )
            received, lost_bytes = b"".join(self._chunks), self._lost_bytes
            self._chunks.clear()
            self._size = self._lost_bytes = 0
            if not received and not lost_bytes and self._error is not None:
                raise self._error
            return received, lost_bytes


def resolve(future: Future[bytes], reply: bytes) -> None:
    """Hand over a reply, unless its caller has cancelled."""
    try:
        future.set_result(reply)
    except InvalidStateError:
        return


def fail(future: Future[bytes], error: Exception) -> None:
    """Hand over an error, unless the caller has cancelled."""
    try:
        future.set_exception(error)
    except InvalidStateError:
        return
