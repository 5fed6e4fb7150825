"""Detector bias: bring latched wires back, and climb to the bias with the most key."""

from __future__ import annotations

import math
from dataclasses import dataclass

from qnx_hw.api.loops import LoopState
from qnx_hw.control.policy import Decision, Policy

SILENT = 0.02
"""A detector with less than this part of its usual rate, while others see light, has latched."""
LOOKS_TO_LEARN = 3
BRIGHT = 10.0
"""More than so many times the wanted dark counts are light."""
STEPPED_DOWN = 0.98
"""A wire that latched gets a little less bias afterwards."""


@dataclass(frozen=True, slots=True)
class BiasSeen:
    """Clicks per second of each detector at its bias, and the key they made."""

    values: tuple[float, ...]
    rates_cps: tuple[float, ...]
    merit: float = math.nan
    """Secret bits per second, or what stands for it; NaN where not known."""
    merit_sigma: float = 0.0

    def numbers(self) -> tuple[float, ...]:
        """Return rates, merit and its standard error."""
        return (*self.rates_cps, self.merit, self.merit_sigma)


class Relatching(Policy[BiasSeen]):
    """Takes the bias of a latched wire away and gives it back, a little lower.

    A superconducting wire that latched stays resistive and silent until its current is taken
    away (Natarajan, Tanner, Hadfield, SUST 25, 063001 (2012), section 2.3).
    """

    def __init__(self, inner: Policy[BiasSeen] | None = None) -> None:
        """`inner` decides while no wire is latched; None leaves the bias as it is."""
        self._inner = inner
        self.restart()

    def restart(self) -> None:
        """Learn the usual rates anew."""
        self._usual: list[float] = []
        self._looks = 0
        self._wanted: tuple[float, ...] | None = None
        if self._inner is not None:
            self._inner.restart()

    def observe(self, seen: BiasSeen) -> Decision:
        """Look for silent detectors."""
        if self._wanted is not None:
            back, self._wanted = self._wanted, None
            return Decision(LoopState.SEARCHING, back, "giving the bias back")
        if silent := self._silent(seen):
            pairs = list(enumerate(seen.values))
            self._wanted = tuple(STEPPED_DOWN * v if n in silent else v for n, v in pairs)
            off = tuple(0.0 if n in silent else value for n, value in pairs)
            names = ", ".join(str(n + 1) for n in sorted(silent))
            return Decision(LoopState.SEARCHING, off, f"detector {names} has latched")
        self._learn(seen.rates_cps)
        if self._inner is None or math.isnan(seen.merit):
            return Decision(LoopState.TRACKING, None, "all detectors click")
        return self._inner.observe(seen)

    def _silent(self, seen: BiasSeen) -> set[int]:
        if self._looks < LOOKS_TO_LEARN:
            return set()
        parts = [now / max(was, 1e-9) for now, was in zip(seen.rates_cps, self._usual, strict=True)]
        silent = {n for n, part in enumerate(parts) if part < SILENT and seen.values[n]}
        # With all of them silent the light is gone, not the wires.
        return silent if len(silent) < len(parts) else set()

    def _learn(self, rates_cps: tuple[float, ...]) -> None:
        self._looks += 1
        if not self._usual:
            self._usual = list(rates_cps)
        self._usual = [
            was + (now - was) / min(self._looks, 20)
            for was, now in zip(self._usual, rates_cps, strict=True)
        ]


class AutoBias(Policy[BiasSeen]):
    """Has the detectors find their biases in the dark, once; then brings latched ones back.

    Under light the procedure would settle at too little bias, so it waits for darkness.
    """

    def __init__(self, dark_cps: float) -> None:
        """`dark_cps` are the dark counts per second that a detector shall have."""
        self._dark_cps = dark_cps
        self._then = Relatching()
        self.restart()

    def restart(self) -> None:
        """Find the biases anew."""
        self._is_found = False
        self._then.restart()

    def observe(self, seen: BiasSeen) -> Decision:
        """Find the biases once it is dark, and look for silent detectors from then on."""
        if self._is_found:
            return self._then.observe(seen)
        brightest = max(seen.rates_cps)
        if brightest > BRIGHT * self._dark_cps:
            words = f"{brightest:.0f} counts/s are light: darken the detectors to find their bias"
            return Decision(LoopState.SEARCHING, None, words)
        self._is_found = True
        words = f"finding the biases for {self._dark_cps:g} dark counts/s"
        return Decision(LoopState.SEARCHING, None, words, finds=True)


class BiasClimb(Policy[BiasSeen]):
    """Climbs one bias after another towards more merit, within limits; bad steps are undone.

    Serves superconducting wires and avalanche diodes alike: both trade efficiency against darks.
    """

    def __init__(self, low: float, high: float, *, step: float, least_step: float) -> None:
        self._low, self._high = low, high
        self._first_step, self._least_step = step, least_step
        self.restart()

    def restart(self) -> None:
        """Climb anew from where the biases stand."""
        self._step = self._first_step
        self._axis = 0
        self._side = 1.0
        self._fruitless = 0
        self._before: BiasSeen | None = None

    def observe(self, seen: BiasSeen) -> Decision:
        """Judge the last step, then take the next one."""
        if self._step < self._least_step:
            return Decision(LoopState.TRACKING, None, "at the top", 0.0, seen.merit_sigma)
        before, self._before = self._before, None
        if before is not None:
            gained = seen.merit - before.merit
            if gained <= math.hypot(seen.merit_sigma, before.merit_sigma):
                self._turn(len(seen.values))
                return Decision(
                    LoopState.SEARCHING,
                    before.values,
                    "the step brought nothing",
                    max(-gained, 0.0),
                    seen.merit_sigma,
                    undoes=True,
                )
            self._fruitless = 0
        values = list(seen.values)
        wanted = values[self._axis] + self._side * self._step
        values[self._axis] = min(max(wanted, self._low), self._high)
        if values[self._axis] == seen.values[self._axis]:
            self._turn(len(values))
            return Decision(LoopState.SEARCHING, None, "at the limit", None, seen.merit_sigma)
        self._before = seen
        return Decision(LoopState.SEARCHING, tuple(values), "climbing", None, seen.merit_sigma)

    def _turn(self, n_axes: int) -> None:
        """Try the other side, then the next detector, then smaller steps."""
        self._fruitless += 1
        self._side = -self._side
        if self._side > 0:
            self._axis = (self._axis + 1) % n_axes
        if self._fruitless >= 2 * n_axes:
            self._step, self._fruitless = self._step / 2, 0
