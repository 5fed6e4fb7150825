"""The driver under test, and how long its calls may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass
from typing import Protocol, TypeVar

from qnx_hw.instruments.conformance.report import Failed
from qnx_hw.instruments.families import Instrument
from qnx_hw.transports import Direction, Recorder

Setting = float | int | str | bool
ResultT = TypeVar("ResultT")
# How often a watcher sees how late it is woken itself: that is how busy the machine is.
BEAT_S = 0.02
# A call that runs out of time wakes a few threads, one after the other.
WAKES = 5


@dataclass(frozen=True, slots=True)
class Patience:
    """Deadlines of a run."""

    usual_s: float = 5.0
    """What a call gets while all is well."""
    sabotaged_s: float = 0.2
    """What a call gets while something goes wrong."""
    slack_s: float = 1.5
    """How much later than its deadline a call may end: it may set back what it changed, and end a
    look that it began in time."""
    grace_s: float = 2.0
    """How much later than its deadline a call may come back before it counts as stuck."""
    back_s: float = 1.0
    """How soon a lost instrument must be ready again once its wire is back."""


@dataclass(frozen=True, slots=True)
class Span:
    """How long a call took, and how late threads were woken meanwhile."""

    took_s: float
    late_s: float

    def overdue_s(self, allowed_s: float) -> float:
        """Return how much longer it took than allowed, the machine's own lateness apart."""
        return max(self.took_s - allowed_s - WAKES * self.late_s, 0.0)


class Maker(Protocol):
    """Makes an unconnected instrument at a URL; `registry.make` with a name does."""

    def __call__(self, url: str, recorder: Recorder | None) -> Instrument: ...


class Subject:
    """One driver at one address."""

    def __init__(
        self,
        url: str,
        make: Maker,
        *,
        consent: bool = False,
        settings: Mapping[str, Setting] | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self.url = url
        self.consent = consent
        """Whether things may move, be switched and change their bias."""
        self.patience = patience
        self.settings = dict(settings or {})
        """What to configure before anything else, where it does not work as it wakes up."""
        self.sent_bytes = 0
        self.instrument = make(url, self._count)

    def connect(self) -> None:
        """Connect and prepare."""
        limit_s = self.patience.usual_s * 4
        within(limit_s, "connect", lambda: self.instrument.connect(timeout_s=self.patience.usual_s))
        self.prepare()

    def prepare(self) -> None:
        """Configure what was asked for."""
        if self.settings:
            self.instrument.configure(self.settings, timeout_s=self.patience.usual_s)

    def _count(self, direction: Direction, payload: bytes) -> None:
        if direction is Direction.SENT:
            self.sent_bytes += len(payload)


def within(limit_s: float, what: str, function: Callable[[], ResultT]) -> ResultT:
    """Return what `function` returns or raises; raise `Failed` where it is stuck."""
    return watched(limit_s, what, function)[0].result()


def watched(
    limit_s: float, what: str, function: Callable[[], ResultT]
) -> tuple[Future[ResultT], Span]:
    """Return what `function` came to, and how long it took; raise `Failed` where it is stuck."""
    future: Future[ResultT] = Future()
    ended_s = 0.0

    def run() -> None:
        nonlocal ended_s
        try:
            answer = function()
            ended_s = time.monotonic()
            future.set_result(answer)
        except BaseException as error:
            ended_s = time.monotonic()
            future.set_exception(error)

    began_s = time.monotonic()
    late_s = 0.0
    threading.Thread(target=run, name=what, daemon=True).start()
    while not future.done():
        waits_s = time.monotonic()
        if waits_s > began_s + limit_s:
            raise Failed(f"{what} is stuck: no answer and no error after {limit_s:.1f} s")
        wait([future], BEAT_S)
        late_s += max(time.monotonic() - waits_s - BEAT_S, 0.0)
    return future, Span(ended_s - began_s, late_s)
