"""Running a recording again: its blocks come through the same feeds, without any instrument.

How it thinks: all taggers of a process share one pace. It starts when every feed is heard, so that
each session sees its recording from the first block on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from qnx_hw.api.schema import InstrumentView, Level, Reading
from qnx_hw.api.teller import Teller
from qnx_hw.config import NetworkFile
from qnx_hw.errors import RecordingError, Unsupported
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.instruments.values import PulseScore
from qnx_hw.node.bank import Mounted
from qnx_hw.node.recordings import StoredRecording
from qnx_hw.node.tags import TagFeed
from qnx_hw.node.worker import Worker
from qnx_hw.qkd.pulses import Score

LOOK_INTERVAL_S = 0.01
WAITING_TAGS = 2_000_000
"""Tags that may wait for a session; then the replay waits too, rather than lose them."""


class Pace:
    """What the replay's taggers agree on; all methods belong to the event loop's thread."""

    def __init__(self, speed: float) -> None:
        self._speed = speed
        self._feeds: dict[str, TagFeed] = {}
        self._running: set[str] = set()
        self._started_s: float | None = None
        self.finished = asyncio.Event()
        """Set when the last tagger came to its end and every block was taken."""

    def join(self, name: str, feed: TagFeed) -> None:
        """Take part."""
        self._feeds[name] = feed
        self._running.add(name)

    def leave(self, name: str) -> None:
        """Come to an end."""
        self._running.discard(name)
        if not self._running:
            self.finished.set()

    async def reach(self, name: str, position_ps: int) -> None:
        """Wait until a block that ends so long after the recording's start may come."""
        loop = asyncio.get_running_loop()
        while True:
            if self._may(name, position_ps, loop.time()):
                break
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def drain(self, name: str) -> None:
        """Wait until the session took the last block."""
        while True:
            if not self._feeds[name].waiting_tags:
                break
            await asyncio.sleep(LOOK_INTERVAL_S)

    def _may(self, name: str, position_ps: int, now_s: float) -> bool:
        if self._started_s is None:
            if not all(feed.is_heard for feed in self._feeds.values()):
                return False
            self._started_s = now_s
        is_time = position_ps <= (now_s - self._started_s) * self._speed * 1e12
        return is_time and self._feeds[name].waiting_tags <= WAITING_TAGS


class ReplayBank:
    """Stands where a node's instruments would be, while a recording runs."""

    def __init__(
        self,
        network: NetworkFile,
        node: str,
        feeds: Mapping[str, TagFeed],
        tell: Teller,
        *,
        recording: StoredRecording,
        pace: Pace,
    ) -> None:
        self._node = node
        self._feeds = dict(feeds)
        self._tell = tell
        self._recording = recording
        self._pace = pace
        self._drivers = {
            name: section.driver for name, section in network.nodes[node].instruments.items()
        }
        self._scores = {name: recording.scores(node, name) for name in self._drivers}
        self._origins = {name: recording.origin(node, name) for name in feeds}
        for name, feed in feeds.items():
            pace.join(f"{node} {name}", feed)

    def views(self) -> tuple[InstrumentView, ...]:
        """Return the recorded taggers as if they were there."""
        return tuple(self._view(name) for name in self._feeds)

    def mounted(self, name: str) -> Mounted:
        """Refuse: a recording has no settings."""
        raise Unsupported(f"'{name}' is a recording that runs again; it has nothing to set")

    def score(self, transmitter: str) -> Score | None:
        """Return what the next recorded session's pulses were chosen by."""
        score = next(self._scores[transmitter], None)
        if score is None:
            raise RecordingError(
                f"the recording holds no further score of {self._node} {transmitter}: it has one "
                f"of each session that began while it ran"
            )
        return score

    async def play(self, transmitter: str, score: PulseScore) -> None:
        """Do nothing: Bob's tags are those of pulses that were sent."""

    async def run(self) -> None:
        """Let the recording run to its end, then wait to be cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for name, feed in self._feeds.items():
                tasks.create_task(self._play(name, feed))

    async def _play(self, name: str, feed: TagFeed) -> None:
        track = f"{self._node} {name}"
        worker = Worker(f"replay {track}")
        start_ps: int | None = None
        try:
            blocks = self._recording.blocks(self._node, name)
            while (block := await worker.call(next, blocks, None)) is not None:
                start_ps = block.start_ps if start_ps is None else start_ps
                await self._pace.reach(track, block.end_ps - start_ps)
                _deliver(feed, block)
            await self._pace.drain(track)
            self._tell(Level.INFO, track, "the recording ended")
        finally:
            worker.close()
            self._pace.leave(track)

    def _view(self, name: str) -> InstrumentView:
        origin = self._origins[name]
        rates = self._feeds[name].rates_cps()
        return InstrumentView(
            name=name,
            node=self._node,
            family="time_tagger",
            driver=self._drivers.get(name, ""),
            model=origin.model,
            serial=origin.serial,
            state="replay",
            error="",
            is_simulated=origin.is_simulated,
            readings=tuple(
                Reading(name=f"input {number}", value=rate, unit="1/s")
                for number, rate in enumerate(rates, start=1)
            ),
            age_s=0.0 if rates else None,
        )


def _deliver(feed: TagFeed, block: TagBlock) -> None:
    if len(block) == 0 and not block.is_complete:
        feed.interrupt("the recording has a gap here")
    else:
        feed.deliver(block)
