"""Cutting a byte stream into complete messages."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from typing import Protocol


class Framer(Protocol):
    """Takes bytes as they come and yields each message once it is complete."""

    @abstractmethod
    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield what `received` completes; iterate to the end before the next call."""

    @abstractmethod
    def reset(self) -> int:
        """Forget a message that is not complete and return how many bytes that was."""


class Lines(Framer):
    """Messages that end with `end`, returned without it and without a carriage return.

    What grows beyond `limit` bytes without an end is no line: it is yielded as it is.
    """

    def __init__(self, end: bytes = b"\n", *, limit: int = 65_536) -> None:
        self._end = end
        self._limit = limit
        self._pending = bytearray()

    def feed(self, received: bytes) -> Iterator[bytes]:
        """Yield each line that is complete now."""
        self._pending += received
        while (size := self._pending.find(self._end)) >= 0:
            line = bytes(self._pending[:size])
            del self._pending[: size + len(self._end)]
            yield line.rstrip(b"\r")
        if len(self._pending) > self._limit:
            line = bytes(self._pending)
            self._pending.clear()
            yield line

    def reset(self) -> int:
        """Forget a line that has no end yet."""
        size = len(self._pending)
        self._pending.clear()
        return size
