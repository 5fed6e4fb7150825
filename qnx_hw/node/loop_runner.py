"""Runs a closed loop in its node: when it looks, at what, and who is told.

How it thinks: a block is looked at if it began after the axes last came to rest; one that saw a
move is left out. Stations never wait for a loop: of blocks that come while it computes or moves,
the newest is kept. A loop with an interval looks at that pace, whether there is a block or not.
"""

from __future__ import annotations

import asyncio
import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from qnx_hw.api.loops import LoopState
from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.control.loop import Loop, Title
from qnx_hw.control.policy import Seen
from qnx_hw.errors import QnxError
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_seat import LoopSeat

SETTLED_S = 0.5
"""Tags are on their way for so long; a block that began sooner after a move has seen it."""
READY_TIMEOUT_S = 30.0
LOCK = "lock"
STATES_TOLD = {
    LoopState.TRACKING: Level.OK,
    LoopState.SEARCHING: Level.WARNING,
    LoopState.FAULT: Level.ALARM,
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is known of a loop before it is open."""

    title: Title
    instruments: tuple[str, ...]
    """What it moves or asks, by name; all of its own node."""
    algorithm: str
    target: float | None = None
    starts_held: bool = False
    interval_s: float | None = None
    """How often it looks; None is at every block."""


class NodeLoop(Protocol):
    """One kind of loop, as its runner sees it."""

    plan: Plan

    @abstractmethod
    def open(self, mounted: Sequence[Mounted]) -> Loop[Any]:
        """Make the loop once its instruments have told what they are; blocks.

        Any: each loop looks at something else, and no runner cares.
        """

    @abstractmethod
    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], Seen | None] | None:
        """Return what makes of the axes' places what was seen there; None for nothing to see.

        Called in the event loop's thread; what it returns is called in another and may block.
        """


class LoopRunner:
    """Runs one loop until cancelled; all methods belong to the event loop's thread."""

    def __init__(self, kind: NodeLoop, tell: Teller) -> None:
        plan = kind.plan
        self.plan = plan
        self.seat = LoopSeat(
            plan.title, algorithm=plan.algorithm, target=plan.target, is_held=plan.starts_held
        )
        self._kind = kind
        self._tell = tell
        self._newest: Judged | None = None
        self._bell = asyncio.Event()
        self._rested_s = time.monotonic()
        self._told: LoopState | None = None
        self._lost_s: float | None = None
        self._secret_bps = 0.0

    def judged(self, judged: Judged) -> None:
        """Take what a block disclosed; returns at once."""
        self._newest = judged
        if self._lost_s is None:
            self._secret_bps = judged.metrics.secret_rate_bps or 0.0
        self._bell.set()

    async def run(self, mounted: Sequence[Mounted]) -> None:
        """Keep the loop going until cancelled."""
        try:
            loop = await self.open(mounted)
        except QnxError as error:
            self._tell(Level.ALARM, self.seat.name, str(error), LOCK)
            return
        try:
            while True:
                await self._wake()
                await self.look(loop)
        finally:
            self.seat.leave()

    async def open(self, mounted: Sequence[Mounted]) -> Loop[Any]:
        """Make the loop and seat it."""
        loop = self.seat.loop = await self.seat.worker.call(self._kind.open, mounted)
        if self.plan.starts_held:
            loop.hold()
        return loop

    async def look(self, loop: Loop[Any]) -> None:
        """Show the loop what there is, and tell what became of it."""
        judged, self._newest = self._newest, None
        if judged is not None and judged.began_s < self._rested_s + SETTLED_S:
            judged = None
        if judged is None and self.plan.interval_s is None:
            return
        see = self._kind.look(judged)
        if see is None:
            return
        if await self.seat.worker.call(loop.observe, see):
            self._rested_s = time.monotonic()
        view = loop.view
        if view.state is not self._told and view.state in STATES_TOLD:
            words = f"{view.state}: {view.message}{self._cost(view.state)}"
            self._tell(STATES_TOLD[view.state], self.seat.name, words, LOCK)
            self._told = view.state

    def _cost(self, state: LoopState) -> str:
        """Return what it cost to come back, in time and in key at the rate before."""
        if state is not LoopState.TRACKING:
            if self._told is LoopState.TRACKING:
                self._lost_s = time.monotonic()
            return ""
        lost_s, self._lost_s = self._lost_s, None
        if lost_s is None:
            return ""
        span_s = time.monotonic() - lost_s
        key = f", in which {span_s * self._secret_bps:,.0f} bits of key would have been made"
        return f"; back after {span_s:.1f} s{key if self._secret_bps else ''}"

    async def _wake(self) -> None:
        if self.plan.interval_s is not None:
            await asyncio.sleep(self.plan.interval_s)
            return
        await self._bell.wait()
        self._bell.clear()
