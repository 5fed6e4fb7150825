"""Delays of an end's detectors against each other, corrected as their tags come in."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.config.loops import DelaysSection
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.delays import DelaysSeen
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import NodeLoop, Plan
from qnx_hw.node.recipes import DelaysRecipe
from qnx_hw.node.tags import TagFeed

ALGORITHM = "kalman"


class FeedDelays(Actuation):
    """What a feed subtracts from the times of each input."""

    def __init__(self, feed: TagFeed, inputs: tuple[int, ...], most_ps: float) -> None:
        self._feed = feed
        self._inputs = inputs
        self._most_ps = most_ps

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return one axis for each input."""
        return tuple(
            ActuatorAxis(name=f"input {n}", unit="ps", low=-self._most_ps, high=self._most_ps)
            for n in self._inputs
        )

    def positions(self) -> tuple[float, ...]:
        """Return the delays in force."""
        return tuple(float(self._feed.delays_ps.get(n, 0)) for n in self._inputs)

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Correct the blocks from the next one on."""
        self._feed.delays_ps = {
            n: round(value) for n, value in zip(self._inputs, values, strict=True)
        }
        return self.positions()

    def make_safe(self) -> None:
        """A correction harms nothing."""


class DelaysLoop(NodeLoop):
    """The loop of one end's detectors.

    Alice's partners show how late hers are; she tells Bob about his, once a block is sealed.
    """

    def __init__(
        self,
        title: Title,
        section: DelaysSection,
        feed: TagFeed,
        inputs: tuple[int, ...],
        folder: Path,
    ) -> None:
        self.plan = Plan(title, (), ALGORITHM, starts_held=section.starts_held)
        self._section = section
        self._feed = feed
        self._inputs = inputs
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[DelaysSeen]:
        """Make the loop."""
        actuation = FeedDelays(self._feed, self._inputs, self._section.most_ps)
        recipe = DelaysRecipe(n_detectors=len(self._inputs), deadband_ps=self._section.deadband_ps)
        return Loop(
            self.plan.title,
            actuation,
            recipe.policy,
            algorithms=(ALGORITHM,),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], DelaysSeen] | None:
        """Look at how late each detector's coincidences were."""
        late = judged.metrics.lateness if judged is not None else None
        if late is None or len(late.late_ps) != len(self._inputs):
            return None
        return lambda delays: DelaysSeen(delays, late.late_ps, late.sigma_ps)
