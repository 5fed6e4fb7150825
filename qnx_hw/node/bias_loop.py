"""Levels of a link's detectors: biases found in the dark, climbed to the most key, or given back
if latched; comparators climbed to the most key."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from qnx_hw.config.loops import BiasSection, ThresholdsSection
from qnx_hw.control.bias import BiasSeen
from qnx_hw.control.decision_log import DecisionLog
from qnx_hw.control.loop import Loop, Title
from qnx_hw.errors import InstrumentError
from qnx_hw.node.bank import Mounted
from qnx_hw.node.detector_levels import DetectorLevelsActuation, Level, heads_of, span_of
from qnx_hw.node.judged import Judged
from qnx_hw.node.key_merit import merit_of
from qnx_hw.node.loop_runner import NodeLoop, Plan
from qnx_hw.node.recipes import BiasRecipe, ThresholdsRecipe

LOOK_INTERVAL_S = 2.0
"""Rates are averaged over a second; this long after a change of bias none of it is old."""
ALGORITHMS = ("relatch", "climb", "auto")


class BiasLoop(NodeLoop):
    """The loop of the biases of one end's detectors."""

    def __init__(
        self,
        title: Title,
        section: BiasSection,
        inputs: tuple[int, ...],
        rates_cps: Callable[[], tuple[float, ...]],
        folder: Path,
        instruments: tuple[str, ...] = (),
    ) -> None:
        """`rates_cps` gives clicks per second of the tagger's `inputs`, in this order.

        `instruments` are one bank, which is the title's where none is given, or one for each input.
        """
        self.plan = Plan(
            title,
            instruments or (title.instrument,),
            section.algorithm,
            starts_held=section.starts_held,
            interval_s=LOOK_INTERVAL_S,
        )
        self._section = section
        self._inputs = inputs
        self._rates_cps = rates_cps
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[BiasSeen]:
        """Make the loop once the detectors have told what they are."""
        section, heads = self._section, heads_of(mounted, self._inputs)
        span = span_of(Level.BIAS, heads, (section.low, section.high), section.step)
        known = ALGORITHMS if span.has_auto_bias and len(mounted) == 1 else ALGORITHMS[:-1]
        if section.algorithm not in known:
            raise InstrumentError(
                f"'{self.plan.title.instrument}' finds no bias by itself; choose one of "
                f"{', '.join(known)}"
            )
        recipe = BiasRecipe(low=span.low, high=span.high, step=span.step, dark_cps=section.dark_cps)
        first = section.algorithm
        return Loop(
            self.plan.title,
            DetectorLevelsActuation(Level.BIAS, heads, self._inputs, span, section.dark_cps),
            recipe.policy,
            algorithms=(first, *(each for each in known if each != first)),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], BiasSeen] | None:
        """Look at the newest rates, and at the key that a block promises."""
        seen = self._rates_cps()[: len(self._inputs)]
        if len(seen) < len(self._inputs):
            return None
        merit, sigma = (math.nan, 0.0) if judged is None else merit_of(judged.metrics)
        return lambda biases: BiasSeen(biases, seen, merit, sigma)


class ThresholdsLoop(NodeLoop):
    """The loop of the comparators of one end's detectors."""

    def __init__(
        self,
        title: Title,
        section: ThresholdsSection,
        inputs: tuple[int, ...],
        folder: Path,
        instruments: tuple[str, ...] = (),
    ) -> None:
        """`instruments` are one bank, the title's where none is given, or one for each input."""
        names = instruments or (title.instrument,)
        self.plan = Plan(title, names, ALGORITHMS[1], starts_held=section.starts_held)
        self._section = section
        self._inputs = inputs
        self._folder = folder

    def open(self, mounted: Sequence[Mounted]) -> Loop[BiasSeen]:
        """Make the loop once the detectors have told what they are."""
        section, heads = self._section, heads_of(mounted, self._inputs)
        limits = section.low_v, section.high_v
        span = span_of(Level.THRESHOLD, heads, limits, section.step_v)
        recipe = ThresholdsRecipe(low=span.low, high=span.high, step=span.step)
        return Loop(
            self.plan.title,
            DetectorLevelsActuation(Level.THRESHOLD, heads, self._inputs, span),
            recipe.policy,
            algorithms=(self.plan.algorithm,),
            log=DecisionLog(self._folder, time.time, recipe.encoded()),
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], BiasSeen] | None:
        """Look at the key that a block promises."""
        merit, sigma = (math.nan, 0.0) if judged is None else merit_of(judged.metrics)
        if math.isnan(merit):
            return None
        return lambda levels_v: BiasSeen(levels_v, (), merit, sigma)
