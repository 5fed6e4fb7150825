"""The coincidence window: Alice's node chooses it, and Bob's follows with the next session."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.config import LinkSection
from qnx_hw.config.loops import WindowSection
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.control.window import WindowSeen, spread_of
from qnx_hw.errors import InstrumentError, QnxError
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import NodeLoop, Plan
from qnx_hw.node.recipes import WindowRecipe

ALGORITHM = "model"


class SetWindow(Protocol):
    """Changes a link's window where both ends take it; blocks, and raises `QnxError`."""

    @abstractmethod
    def __call__(self, link: str, window_ps: int) -> None: ...


def window_of_both(link: str, window_ps: int) -> None:
    """Refuse: a node that no host runs has nobody to change sessions for it."""
    raise QnxError(f"nobody is there who could change the window of '{link}' at both ends")


class LinkWindow(Actuation):
    """The window as an axis."""

    def __init__(
        self,
        link: str,
        section: WindowSection,
        in_force: Callable[[], LinkSection],
        set_window: SetWindow,
    ) -> None:
        self._link = link
        self._section = section
        self._in_force = in_force
        self._set_window = set_window

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return the only one."""
        section = self._section
        return (ActuatorAxis(name="window", unit="ps", low=section.low_ps, high=section.high_ps),)

    def positions(self) -> tuple[float, ...]:
        """Return the window in force."""
        return (float(self._in_force().coincidence_window_ps),)

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """End the session in good order and begin one with another window."""
        try:
            self._set_window(self._link, round(values[0]))
        except InstrumentError:
            raise
        except QnxError as error:
            raise InstrumentError(str(error)) from error
        return self.positions()

    def make_safe(self) -> None:
        """A window harms nothing."""


class WindowLoop(NodeLoop):
    """The loop of Alice's end; only she sees the delays."""

    def __init__(
        self,
        title: Title,
        section: WindowSection,
        in_force: Callable[[], LinkSection],
        set_window: SetWindow,
        folder: Path,
    ) -> None:
        """`in_force` gives the link's table as the session follows it."""
        self.plan = Plan(title, (), ALGORITHM, starts_held=section.starts_held)
        self._section = section
        self._in_force = in_force
        self._set_window = set_window
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[WindowSeen]:
        """Make the loop."""
        section = self._section
        recipe = WindowRecipe(low_ps=section.low_ps, high_ps=section.high_ps)
        return Loop(
            self.plan.title,
            LinkWindow(self.plan.title.link, section, self._in_force, self._set_window),
            recipe.policy,
            algorithms=(ALGORITHM,),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], WindowSeen] | None:
        """Look at a block's peak, coincidences and errors."""
        if judged is None:
            return None
        metrics = judged.metrics
        coincidences, accidentals = metrics.coincidence_rate_cps, metrics.accidental_rate_cps
        qber = metrics.qber.value
        # Others change the window too: an operator, and the other end.
        section = self._in_force()
        window, slots = section.coincidence_window_ps, section.slots
        known = metrics.histogram
        spread_ps = spread_of(known, window, slots) if known is not None else None
        if coincidences is None or accidentals is None or spread_ps is None or qber is None:
            return None
        span_s = block_s(section, coincidences)
        seen = WindowSeen(
            (float(window),), spread_ps, slots, coincidences, accidentals, qber, span_s
        )
        return lambda windows: seen


def block_s(section: LinkSection, coincidences_cps: float) -> float:
    """Return how long a block takes at a rate; half of the coincidences are sifted."""
    return min(2 * section.block_sifted_bits / max(coincidences_cps, 1e-9), section.max_block_s)
