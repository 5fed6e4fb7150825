"""Blocks of tags from an ID900 that records one acquisition after the other."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from drivers.id900_replies import StreamStatus
from drivers.id900_tally import NOTHING, Span, Tally
from qnx_hw.errors import InstrumentTimeout, NotConnected
from qnx_hw.instruments.families import TagStream
from qnx_hw.instruments.tags import UNKNOWN_LOSS, TagBlock

# How often the service is asked how far it is; its messages wake the reader sooner.
POLL_S = 0.05
# Stamps that the service has sent and that do not come within this time are not on their way.
LATE_S = 5.0
# What may wait for a slow reader, per input; ten million tags a second fill it in 0.8 s.
WAITING_BYTES = 1 << 26


class Inboxes:
    """Messages on their way from the I/O threads to the reader; bounded for each input."""

    def __init__(self, channels: Iterable[int]) -> None:
        self.arrived = threading.Event()
        self._lock = threading.Lock()
        self._messages: dict[int, list[bytes | int]] = {channel: [] for channel in channels}
        self._sizes = dict.fromkeys(self._messages, 0)

    @property
    def channels(self) -> tuple[int, ...]:
        """The inputs that are recorded."""
        return tuple(self._messages)

    def put(self, channel: int, payload: bytes) -> None:
        """Keep a message, or only its size where there is no room; the empty one is no message."""
        if not payload:
            return
        with self._lock:
            has_room = self._sizes[channel] + len(payload) <= WAITING_BYTES
            self._sizes[channel] += len(payload) if has_room else 0
            self._messages[channel].append(payload if has_room else len(payload))
        self.arrived.set()

    def empty_into(self, channel: int, tally: Tally) -> None:
        """Hand over what waits."""
        with self._lock:
            messages, self._messages[channel] = self._messages[channel], []
            self._sizes[channel] = 0
        for message in messages:
            if isinstance(message, bytes):
                tally.add(message)
            else:
                tally.skip(message)


class Id900Stream(TagStream):
    """Blocks of one acquisition each; one thread reads, any thread closes.

    `look` asks the service about an input; `overflowed` tells whether a buffer ran over since the
    last call, and sets it going again; `finish` ends the recording.
    """

    def __init__(
        self,
        name: str,
        acquisition_ps: int,
        *,
        inboxes: Inboxes,
        look: Callable[[int], StreamStatus],
        overflowed: Callable[[], bool],
        finish: Callable[[Id900Stream], None],
    ) -> None:
        self._name = name
        self._acquisition_ps = acquisition_ps
        self._inboxes = inboxes
        self._look = look
        self._overflowed = overflowed
        self._finish = finish
        self._tallies = {channel: Tally(acquisition_ps) for channel in inboxes.channels}
        self._carried: dict[int, Span] = {}
        self._reading = threading.Lock()
        self._next = 0
        self._doubtful_until = 0
        self._late_since_s: float | None = None
        self.lost_tags = 0

    def read(self, *, timeout_s: float = 2.0) -> TagBlock:
        """Return the next acquisition once all its stamps are here."""
        deadline_s = time.monotonic() + timeout_s
        with self._reading:
            while not all(tally.has_span for tally in self._tallies.values()):
                left_s = deadline_s - time.monotonic()
                if left_s <= 0:
                    raise InstrumentTimeout(f"no complete block of tags within {timeout_s:g} s")
                self._inboxes.arrived.wait(min(POLL_S, left_s))
                self._inboxes.arrived.clear()
                self._take()
            return self._block()

    def close(self) -> None:
        """Stop recording and discard what is still on its way."""
        self._finish(self)

    def _take(self) -> None:
        for channel, tally in self._tallies.items():
            # The status first: what it counts has been sent before the messages are looked at.
            status = self._look(channel)
            self._inboxes.empty_into(channel, tally)
            tally.report(status)
        if not any(tally.missing for tally in self._tallies.values()):
            self._late_since_s = None
        elif self._late_since_s is None:
            self._late_since_s = time.monotonic()
        elif time.monotonic() - self._late_since_s >= LATE_S:
            missing = sum(tally.missing for tally in self._tallies.values())
            raise NotConnected(f"{missing} time stamps of '{self._name}' were lost on their way")

    def _block(self) -> TagBlock:
        if self._overflowed():
            # Also the acquisitions up to the one that runs now have lost some.
            self._doubtful_until = max(tally.ended for tally in self._tallies.values()) + 1
        has_overflow = self._next < self._doubtful_until
        start_ps = self._next * self._acquisition_ps
        end_ps = start_ps + self._acquisition_ps
        self._next += 1
        spans = {channel: tally.next_span() for channel, tally in self._tallies.items()}
        lost = [span.lost for span in spans.values()]
        times, channels = self._merged(spans, end_ps)
        total = UNKNOWN_LOSS if has_overflow or UNKNOWN_LOSS in lost else sum(lost)
        self.lost_tags += max(total, 0)
        return TagBlock(times, channels, start_ps, end_ps, total, has_overflow)

    def _merged(
        self, spans: Mapping[int, Span], end_ps: int
    ) -> tuple[
        np.ndarray[tuple[int], np.dtype[np.int64]], np.ndarray[tuple[int], np.dtype[np.uint8]]
    ]:
        """Return all tags before `end_ps` in order; later ones wait for the next block."""
        parts, labels = [NOTHING], [np.empty(0, np.uint8)]
        for channel, span in spans.items():
            carried = self._carried.get(channel)
            times = span.times_ps
            if carried is not None and carried.times_ps.size:
                times = np.concatenate([carried.times_ps, times])
            is_here = times < end_ps
            self._carried[channel] = Span(times[~is_here])
            parts.append(times[is_here])
            labels.append(np.full(len(parts[-1]), channel, np.uint8))
        times, channels = np.concatenate(parts), np.concatenate(labels)
        order = np.argsort(times, kind="stable")
        return times[order], channels[order]
