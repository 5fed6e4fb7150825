"""Which time stamps of an ID900 input belong to which acquisition, and which are missing.

How it thinks: the service sends the stamps of an acquisition as one message or several, and nothing
at all for a silent one, so messages cannot be numbered by themselves. Its status tells how many
acquisitions are over and how many stamps it has sent until then; the stamps between two such
reports belong to the acquisitions between them. Where several acquisitions ended between two
reports, one message each is in order; anything else is ambiguous and given up as lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from drivers import id900_replies as replies
from qnx_hw.errors import ProtocolError
from qnx_hw.instruments.tags import UNKNOWN_LOSS

Times = NDArray[np.int64]
NOTHING = np.empty(0, np.int64)
# A stamp this far behind the end of its acquisition (in parts of it) is damaged: clocks that are
# off by a hundred ppm and the jitter of an edge stay far below.
TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class Span:
    """Stamps on the time axis of all acquisitions, and how many are missing."""

    times_ps: Times
    lost: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class _Part:
    """A message: how many stamps it had, and those that are left of it."""

    count: int
    times_ps: Times
    lost: int = 0


class Tally:
    """Sorts the messages of one input into acquisitions of `acquisition_ps`."""

    def __init__(self, acquisition_ps: int) -> None:
        self._acquisition_ps = acquisition_ps
        self._limit_ps = round(acquisition_ps * (1 + TOLERANCE))
        self._parts: list[_Part] = []
        self._received = 0
        self._has_errors = False
        self._is_absolute = False
        self._settled = 0
        self._ended = 0
        self._sent = 0
        self._spans: list[Span] = []

    def add(self, payload: bytes) -> None:
        """Take a message of the stream; a damaged one counts as lost."""
        try:
            times = replies.stamps(payload)
            self._append(_Part(len(times), times))
        except ProtocolError:
            count = len(payload) // replies.STAMP.itemsize
            self._append(_Part(count, NOTHING, UNKNOWN_LOSS))

    def skip(self, size_bytes: int) -> None:
        """Take note of a message that there was no room for."""
        count = size_bytes // replies.STAMP.itemsize
        self._append(_Part(count, NOTHING, count))

    def report(self, status: replies.StreamStatus) -> None:
        """Take what the service says of itself."""
        self._ended = max(status.acquisitions, self._ended)
        self._sent = max(status.stamps, self._sent)
        self._has_errors |= status.has_errors
        self._settle()

    @property
    def missing(self) -> int:
        """How many stamps were sent and have not come."""
        return max(self._sent - self._received, 0)

    @property
    def ended(self) -> int:
        """How many acquisitions are known to be over."""
        return self._ended

    @property
    def has_span(self) -> bool:
        """Whether the next acquisition is complete."""
        return bool(self._spans)

    def next_span(self) -> Span:
        """Return the next acquisition."""
        return self._spans.pop(0)

    def _append(self, part: _Part) -> None:
        self._parts.append(part)
        self._received += part.count

    def _settle(self) -> None:
        turns = range(self._settled, self._ended)
        if not turns or self.missing:
            return
        parts, self._parts = _split(self._parts, self._received - self._sent)
        if self._has_errors or (len(turns) > 1 and len(parts) not in {0, len(turns)}):
            self._spans += [Span(NOTHING, UNKNOWN_LOSS)] * len(turns)
        elif len(turns) == 1:
            self._spans.append(self._span(self._settled, parts))
        else:
            each = [[part] for part in parts] or [[]] * len(turns)
            self._spans += map(self._span, turns, each)
        self._has_errors = False
        self._settled = self._ended

    def _span(self, index: int, parts: Iterable[_Part]) -> Span:
        parts = tuple(parts)
        times = np.concatenate([NOTHING, *(part.times_ps for part in parts)])
        losses = [part.lost for part in parts]
        lost = UNKNOWN_LOSS if UNKNOWN_LOSS in losses else sum(losses)
        start_ps = index * self._acquisition_ps
        # The guide leaves open whether a stamp counts from the first acquisition or from its own.
        if times.size and int(times.max()) >= self._limit_ps:
            self._is_absolute = True
        if not self._is_absolute:
            times = times + start_ps
        is_sound = (times >= start_ps) & (times < start_ps + self._limit_ps)
        if not is_sound.all():
            return Span(times[is_sound], UNKNOWN_LOSS)
        return Span(times, lost)


def _split(parts: list[_Part], extra: int) -> tuple[list[_Part], list[_Part]]:
    """Split off the parts that hold the last `extra` stamps, which are of a later acquisition."""
    here = list(parts)
    later: list[_Part] = []
    while here and extra >= here[-1].count and extra > 0:
        extra -= here[-1].count
        later.insert(0, here.pop())
    if extra > 0 and here:  # the status came between two halves of a message: doubt both
        part = here.pop()
        here.append(_Part(part.count - extra, part.times_ps[:-extra], UNKNOWN_LOSS))
        later.insert(0, _Part(extra, part.times_ps[-extra:], UNKNOWN_LOSS))
    return here, later
