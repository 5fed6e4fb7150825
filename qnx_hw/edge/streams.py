"""Streams of JSON lines: processed at the source, sent in batches, handed out at the destination.

Batches are numbered. The source keeps each until the destination confirms it, so a session that
ends costs none, and the destination takes each once. A source that starts again begins a new run.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
import struct
import time
from collections import OrderedDict, deque
from collections.abc import Sequence
from contextlib import suppress

from qnx_hw.attempts import attempt
from qnx_hw.config import StepSection, StreamSection
from qnx_hw.edge.edge import Edge
from qnx_hw.edge.steps import Pipeline, Unpacking
from qnx_hw.edge.steps.octets import MAX_BATCH_BYTES
from qnx_hw.edge.traffic import Traffic
from qnx_hw.edge.user import User, user_pair
from qnx_hw.errors import ChannelError, QnxError

log = logging.getLogger(__name__)

SERVICE = "stream"
TICK_S = 0.1
RETRY_S = 0.5
RUN_BYTES = 16
KEPT_RUNS = 8
BACKLOG_BYTES = 16 << 20
"""Lines that wait at the destination for somebody to read them; the oldest are dropped first."""

_GREETING = struct.Struct(f">{RUN_BYTES}s")
_NUMBER = struct.Struct(">Q")
_BATCH = struct.Struct(">QI")
_BROKEN = (QnxError, OSError, asyncio.IncompleteReadError)


class StreamSource:
    """The source's end; at most `limit_bytes` wait, then whoever feeds it waits."""

    def __init__(self, edge: Edge, name: str, section: StreamSection, limit_bytes: int) -> None:
        self.pipeline = Pipeline(section.steps)
        self._edge = edge
        self._traffic = Traffic.of(name, SERVICE, section)
        self._limit_bytes = limit_bytes
        self._run = secrets.token_bytes(RUN_BYTES)
        self._waiting: deque[tuple[int, bytes, float]] = deque()
        self._waiting_bytes = 0
        self._number = 0
        self._changed = asyncio.Condition()

    @property
    def queue_bytes(self) -> int:
        """What waits to be confirmed."""
        return self._waiting_bytes

    @property
    def queue_age_s(self) -> float | None:
        """How long the oldest waits."""
        return time.monotonic() - self._waiting[0][2] if self._waiting else None

    async def feed(self, lines: Sequence[bytes], *, is_end: bool = False) -> None:
        """Process lines and queue what comes of it; returns when there is room for more."""
        now_s = time.monotonic()
        batches = self.pipeline.feed(lines, now_s)
        if is_end:
            batches += self.pipeline.tick(now_s, is_end=True)
        await self._queue(batches)
        async with self._changed:
            await self._changed.wait_for(lambda: self._waiting_bytes <= self._limit_bytes)

    async def drained(self) -> None:
        """Wait until the destination has confirmed everything."""
        async with self._changed:
            await self._changed.wait_for(lambda: not self._waiting)

    async def run(self) -> None:
        """Send until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._tick())
            while True:
                async with self._changed:
                    await self._changed.wait_for(lambda: self._waiting)
                try:
                    await attempt(self._send())
                except* _BROKEN as errors:
                    log.info("stream '%s' waits: %s", self._traffic.name, errors.exceptions[0])
                    await asyncio.sleep(RETRY_S)

    async def _tick(self) -> None:
        while True:
            await asyncio.sleep(TICK_S)
            await self._queue(self.pipeline.tick(time.monotonic()))
            line = self._edge.line(self._traffic, is_opener=True)
            line.saved_bytes = max(0, self.pipeline.bytes_in - self.pipeline.bytes_out)
            line.waiting_bytes, line.waiting_age_s = self.queue_bytes, self.queue_age_s
            if self.pipeline.batches:
                line.added_delay_s = self.pipeline.waited_s / self.pipeline.batches

    async def _queue(self, batches: Sequence[bytes]) -> None:
        if not batches:
            return
        async with self._changed:
            for octets in batches:
                self._number += 1
                self._waiting.append((self._number, octets, time.monotonic()))
                self._waiting_bytes += len(octets)
            self._changed.notify_all()

    async def _send(self) -> None:
        session = await self._edge.open(self._traffic)
        async with user_pair() as (user, theirs):
            session.start(theirs, is_opener=True)
            user.writer.write(_GREETING.pack(self._run))
            (confirmed,) = _NUMBER.unpack(await user.reader.readexactly(_NUMBER.size))
            await self._confirm(confirmed)
            async with asyncio.TaskGroup() as tasks:
                hearing = tasks.create_task(self._hear(user))
                try:
                    await self._write(user, confirmed)
                finally:
                    hearing.cancel()

    async def _write(self, user: User, sent: int) -> None:
        while True:
            async with self._changed:
                while not self._waiting or self._waiting[-1][0] <= sent:
                    await self._changed.wait()
                due = [each for each in self._waiting if each[0] > sent]
            for number, octets, _ in due:
                user.writer.write(_BATCH.pack(number, len(octets)) + octets)
                await user.writer.drain()
                sent = number

    async def _hear(self, user: User) -> None:
        while True:
            (number,) = _NUMBER.unpack(await user.reader.readexactly(_NUMBER.size))
            await self._confirm(number)

    async def _confirm(self, number: int) -> None:
        async with self._changed:
            while self._waiting and self._waiting[0][0] <= number:
                self._waiting_bytes -= len(self._waiting.popleft()[1])
            self._changed.notify_all()


class StreamSink:
    """The destination's end; each line goes to the reader that is there, or waits for one."""

    def __init__(self, edge: Edge, steps: Sequence[StepSection]) -> None:
        self._edge = edge
        self._steps = steps
        self._runs: OrderedDict[bytes, tuple[Unpacking, int]] = OrderedDict()
        self._lines: deque[bytes] = deque()
        self._lines_bytes = 0
        self._changed = asyncio.Condition()
        self.dropped_batches = 0

    async def accept(self, traffic: Traffic) -> socket.socket:
        """Take a session of the source."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._edge.hold(ours, self._receive(ours))
        return theirs

    async def read(self) -> bytes:
        """Return the next lines; waits until there are some."""
        async with self._changed:
            await self._changed.wait_for(lambda: self._lines)
            octets = self._lines.popleft()
            self._lines_bytes -= len(octets)
            return octets

    async def _receive(self, circuit: socket.socket) -> None:
        async with User.of(circuit) as user:
            self._edge.held.discard(circuit)
            with suppress(*_BROKEN):
                (run,) = _GREETING.unpack(await user.reader.readexactly(RUN_BYTES))
                unpacking, last = self._runs.setdefault(run, (Unpacking(self._steps), 0))
                if len(self._runs) > KEPT_RUNS:
                    self._runs.popitem(last=False)
                user.writer.write(_NUMBER.pack(last))
                while True:
                    head = await user.reader.readexactly(_BATCH.size)
                    number, size = _BATCH.unpack(head)
                    if size > MAX_BATCH_BYTES:
                        raise ChannelError(f"a batch of {size} bytes")
                    octets = await user.reader.readexactly(size)
                    if number > self._runs.get(run, (unpacking, last))[1]:
                        await self._take(unpacking, octets)
                        self._runs[run] = unpacking, number
                    user.writer.write(_NUMBER.pack(number))
                    await user.writer.drain()

    async def _take(self, unpacking: Unpacking, octets: bytes) -> None:
        try:
            lines = unpacking.unpack(octets)
        except ValueError as error:
            self.dropped_batches += 1
            log.warning("%s: a batch was dropped: %s", self._edge.node, error)
            return
        async with self._changed:
            self._lines.append(lines)
            self._lines_bytes += len(lines)
            while self._lines_bytes > BACKLOG_BYTES:
                self.dropped_batches += 1
                self._lines_bytes -= len(self._lines.popleft())
            self._changed.notify_all()
