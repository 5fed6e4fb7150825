"""The way of tags from a tagger's thread into the event loop."""

from __future__ import annotations

import asyncio
import dataclasses
from abc import abstractmethod
from collections import deque
from collections.abc import AsyncIterator
from typing import Protocol

import numpy as np

from qnx_hw.errors import QnxError
from qnx_hw.instruments.tags import TagBlock

MAX_WAITING_TAGS = 20_000_000
"""180 MB; beyond it the computer is too slow for the light, which no waiting mends."""
RATE_SPAN_PS = 1_000_000_000_000
"""Singles are averaged over the newest second."""


class TagsLost(QnxError):
    """The stream of tags was interrupted; what comes next does not join to what was."""


class Tap(Protocol):
    """Sees everything that comes through a feed; must return at once."""

    @abstractmethod
    def deliver(self, block: TagBlock) -> None:
        """See the next block."""

    @abstractmethod
    def interrupt(self, reason: str) -> None:
        """Learn that the next block will not join to the last one."""


class TagFeed:
    """Hands a tagger's blocks to one listener at a time, and counts them when nobody listens.

    All methods belong to the event loop's thread; a driver's thread reaches `deliver` and
    `interrupt` through `call_soon_threadsafe`.
    """

    def __init__(self, inputs: tuple[int, ...]) -> None:
        self._inputs = inputs
        self._recent: deque[tuple[int, int, tuple[int, ...]]] = deque()
        self._listener: _Listener | None = None
        self.tap: Tap | None = None
        self.delays_ps: dict[int, int] = {}
        """By how much each input is late; the listener's tags are corrected, the tap's are not."""

    @property
    def is_heard(self) -> bool:
        """Whether somebody listens."""
        return self._listener is not None

    @property
    def waiting_tags(self) -> int:
        """Tags that the listener has not taken yet."""
        return self._listener.tags if self._listener is not None else 0

    def deliver(self, block: TagBlock) -> None:
        """Take the next block."""
        counts = np.bincount(block.channels, minlength=256)
        self._recent.append(
            (block.start_ps, block.end_ps, tuple(int(counts[at]) for at in self._inputs))
        )
        while self._recent[-1][1] - self._recent[0][0] > RATE_SPAN_PS and len(self._recent) > 1:
            self._recent.popleft()
        if self.tap is not None:
            self.tap.deliver(block)
        if self._listener is not None:
            self._listener.put(_corrected(block, self.delays_ps))

    def interrupt(self, reason: str) -> None:
        """Say that the next block will not join to the last one."""
        self._recent.clear()
        if self.tap is not None:
            self.tap.interrupt(reason)
        if self._listener is not None:
            self._listener.fail(reason)

    def fall_silent(self) -> None:
        """Say that no block came for a while; a stream that goes on later is still whole."""
        self._recent.clear()

    def rates_cps(self) -> tuple[float, ...]:
        """Return counts per second of each input in their order; empty while there are none."""
        if not self._recent:
            return ()
        span_s = sum(end - start for start, end, _ in self._recent) / 1e12
        sums = np.sum([counts for _, _, counts in self._recent], axis=0)
        return tuple(float(count) / span_s for count in sums) if span_s > 0 else ()

    async def blocks(self) -> AsyncIterator[TagBlock]:
        """Yield blocks from now on without a gap; `TagsLost` where the stream is interrupted."""
        listener = self._listener = _Listener()
        try:
            while True:
                yield await listener.get()
        finally:
            if self._listener is listener:
                self._listener = None


def _corrected(block: TagBlock, delays_ps: dict[int, int]) -> TagBlock:
    """Return a block with the tags of late inputs put earlier; none leaves its span."""
    if not any(delays_ps.values()):
        return block
    late_ps = np.zeros(256, dtype=np.int64)
    late_ps[list(delays_ps)] = list(delays_ps.values())
    last_ps = max(block.end_ps - 1, block.start_ps)
    times_ps = np.clip(block.times_ps - late_ps[block.channels], block.start_ps, last_ps)
    order = np.argsort(times_ps, kind="stable")
    return dataclasses.replace(block, times_ps=times_ps[order], channels=block.channels[order])


class _Listener:
    """Blocks that wait for one reader, bounded by their number of tags."""

    def __init__(self) -> None:
        self._blocks: deque[TagBlock] = deque()
        self.tags = 0
        self._failure = ""
        self._bell = asyncio.Event()

    def put(self, block: TagBlock) -> None:
        if self.tags + len(block) > MAX_WAITING_TAGS:
            self.fail("the computation does not keep up with the tags")
        if not self._failure:
            self._blocks.append(block)
            self.tags += len(block)
        self._bell.set()

    def fail(self, reason: str) -> None:
        self._failure = self._failure or reason
        self._blocks.clear()
        self.tags = 0
        self._bell.set()

    async def get(self) -> TagBlock:
        while not self._blocks:
            if self._failure:
                raise TagsLost(self._failure)
            self._bell.clear()
            await self._bell.wait()
        block = self._blocks.popleft()
        self.tags -= len(block)
        return block
