"""Alignment by a model: estimate the channel's rotation, then set what undoes it.

How it thinks: while SEARCHING it fits all settings since the search began, and measures where most
is told (see `design`) or, once that is likely good, where the likeliest candidate is undone. Once
the goal is known well enough it is
TRACKING: a Kalman filter follows rotation, drift, visibility and the actuator's errors. Near
alignment the counts tell only a turn about y to first order, so when the uncertainty of the two
others costs more than `tolerance` it makes a small excursion about x or z, and only then; a still
fibre is left alone. A step after which the counts are much worse than predicted is undone first; if
that does not help, the fibre has jumped, and it searches again.
"""

from __future__ import annotations

from collections import deque

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.aligner import Aligner, Decision
from qnx_hw.control.polarization.design import most_telling, probability_within
from qnx_hw.control.polarization.estimate import (
    Belief,
    Standing,
    acquire,
    ignorance,
    standing,
    update,
)
from qnx_hw.control.polarization.measurement import Measurement
from qnx_hw.control.polarization.rotations import Real, turn
from qnx_hw.control.polarization.solution import solve

LONGEST_MEMORY = 8
MISFIT = 12.0
"""Deviance for each setting, 4 on average, beyond which the oldest settings are wrong."""
HORIZON_SHARE = 0.3
LONGEST_HORIZON = 12.0
"""What an excursion tells is of use until the drift has made it old; in settings at most."""
LOCKED_EXCESS = 0.005
WORTH_GOING, KNOWN = 0.4, 0.95
"""How likely within `LOCKED_EXCESS` a setting must be to be tried, and to end a search."""
SURPRISE = 25.0
"""Of four correlations; chance exceeds it once in 20 000 settings."""
DOUBT = 18.0
LOOSENED_RAD = 0.2
"""Counts that surprise are given this much more freedom before a jump is assumed."""
CALM = 4.2
"""Mean surprise of late, 4 in theory, above which more drift is assumed; less below."""
DRIFT_MEMORY = 0.97
FASTEST_DRIFT_RAD = 0.3
SLOWEST_DRIFT_RAD = 2e-4
LARGEST_DITHER_RAD = 0.12
MIN_COINCIDENCES = 20.0


class ModelBased(Aligner):
    """Maximum-a-posteriori estimate of the rotation, then a filter on it."""

    def __init__(
        self,
        actuator: Actuator,
        *,
        visibility: float = 0.95,
        drift_rad: float = 0.02,
        tolerance: float = 0.0005,
        deadband: float = 0.0003,
        target: float = 0.0,
    ) -> None:
        """`drift_rad` is a first guess of the channel's drift from one setting to the next.

        `tolerance` is the error rate that uncertainty may cost, `deadband` the one that is not
        worth a move. Where both bases' error rates are at or below `target` nothing is
        moved at all.
        """
        self._actuator = actuator
        self._prior = ignorance(actuator, visibility=visibility, drift_rad=drift_rad)
        self._first_drift_rad = drift_rad
        self._tolerance = tolerance
        self._deadband = deadband
        self._target = target
        self.restart()

    def restart(self) -> None:
        """Search again."""
        self._window: deque[Measurement] = deque(maxlen=LONGEST_MEMORY)
        self._belief: Belief | None = None
        self._drift_rad = self._first_drift_rad
        self._before: tuple[float, ...] | None = None
        self._undone = False
        self._side = 1.0
        self._went = False
        self._level = CALM

    @property
    def belief(self) -> Belief | None:
        """What is believed of channel and actuator; None while searching."""
        return self._belief

    def observe(self, measurement: Measurement) -> Decision:
        """Take the counts of a setting."""
        if measurement.coincidences < MIN_COINCIDENCES:
            state = LoopState.SEARCHING if self._belief is None else LoopState.TRACKING
            return Decision(state, None, "too few coincidences to judge by")
        if self._belief is None:
            return self._search(measurement)
        return self._track(self._belief, measurement)

    def _search(self, measurement: Measurement) -> Decision:
        self._window.append(measurement)
        candidates = acquire(self._actuator, self._prior, list(self._window))
        while len(self._window) > 2 and candidates[0].misfit > MISFIT * len(self._window):
            self._window.popleft()
            candidates = acquire(self._actuator, self._prior, list(self._window))
        best, probability = candidates[0].belief, candidates[0].probability
        stands = standing(self._actuator, best, measurement.values)
        ahead = best.advanced(self._drift_rad, DRIFT_MEMORY)
        goal = solve(self._actuator, ahead.channel, measurement.values, ahead.errors)
        there = standing(self._actuator, ahead, goal)
        hope = probability * probability_within(there, LOCKED_EXCESS)
        is_known = hope > KNOWN
        looks = hope < WORTH_GOING or (self._went and not is_known)
        if looks:
            goal = most_telling(self._actuator, candidates, goal, measurement.coincidences)
        self._went = not looks
        if is_known or (len(self._window) == LONGEST_MEMORY and there.excess < LOCKED_EXCESS):
            self._belief, self._before = ahead, None
            state, reason = LoopState.TRACKING, "the channel is known"
        else:
            state = LoopState.SEARCHING
            reason = f"likeliest of {len(candidates)} candidates, probability {probability:.2f}"
        is_there = stands.excess_of_mean < self._deadband and not looks
        stay = self._is_content(measurement) or is_there
        return self._decision(state, None if stay else goal, reason, stands, best)

    def _track(self, belief: Belief, measurement: Measurement) -> Decision:
        after, surprise = update(self._actuator, belief, measurement)
        if surprise > DOUBT:
            belief = belief.loosened(LOOSENED_RAD)
            after, left = update(self._actuator, belief, measurement)
            if left > SURPRISE:
                return self._surprised(measurement, after)
        stands = standing(self._actuator, after, measurement.values)
        self._undone = False
        self._adapt(surprise)
        ahead = after.advanced(self._drift_rad, DRIFT_MEMORY)
        self._belief = ahead
        leaves = standing(self._actuator, ahead, measurement.values)
        if self._is_content(measurement):
            self._before = None
            return self._decision(LoopState.TRACKING, None, "at the target", stands, after)
        dither = self._dither(leaves, measurement.coincidences)
        if dither is None and leaves.excess_of_mean < self._deadband:
            self._before = None
            return self._decision(LoopState.TRACKING, None, "aligned", stands, after)
        target = ahead.channel if dither is None else turn(dither) @ ahead.channel
        goal = solve(self._actuator, target, measurement.values, ahead.errors)
        self._before = measurement.values
        reason = "following the drift" if dither is None else "a small excursion to see more"
        return self._decision(LoopState.TRACKING, goal, reason, stands, after)

    def _is_content(self, measurement: Measurement) -> bool:
        return 0 < self._target >= measurement.worse_qber

    def _surprised(self, measurement: Measurement, after: Belief) -> Decision:
        if self._before is not None and not self._undone:
            stands = standing(self._actuator, after, measurement.values)
            back, self._before, self._undone = self._before, None, True
            self._belief = after.loosened(LOOSENED_RAD)
            words = "the last step made it worse than it can have"
            return self._decision(LoopState.TRACKING, back, words, stands, after, undoes=True)
        self.restart()
        decision = self._search(measurement)
        return Decision(
            decision.state,
            decision.move_to,
            f"the channel has jumped; {decision.reason}",
            decision.excess,
            decision.excess_sigma,
            stokes=decision.stokes,
        )

    def _adapt(self, surprise: float) -> None:
        """Believe in more drift when the counts surprise, in less when they do not."""
        self._level += (surprise - self._level) / 10
        factor = np.exp(0.15 * np.clip(self._level / CALM - 1, -0.4, 2.0))
        self._drift_rad = float(
            np.clip(self._drift_rad * factor, SLOWEST_DRIFT_RAD, FASTEST_DRIFT_RAD)
        )

    def _dither(self, leaves: Standing, coincidences: float) -> Real | None:
        """Return a turn about x or z that tells the less certain of the two; None to keep still.

        A turn by d costs V d²/8 of the error rate once, and measures the turn with a variance of
        R/d², R = (1 − V²)/(N/4); what is left of a variance P costs V P/(1 + P d²/R)/8 for
        H settings, until the drift q² has brought as much again. The sum is least at
        d² = √(H R) − R/P.
        """
        variance = np.diag(leaves.covariance)
        if leaves.visibility * (variance[0] + variance[2]) / 8 < self._tolerance:
            return None
        noise = max(1 - leaves.visibility**2, 0.01) * 4 / coincidences
        axis = 0 if variance[0] > variance[2] else 2
        lasts = HORIZON_SHARE * variance[axis] / (self._drift_rad**2 / 3)
        horizon = float(np.clip(lasts, 1.0, LONGEST_HORIZON))
        square = np.sqrt(horizon * noise) - noise / variance[axis]
        if square <= 0:
            return None
        self._side = -self._side
        dither = np.zeros(3)
        dither[axis] = self._side * min(float(np.sqrt(square)), LARGEST_DITHER_RAD)
        return dither

    def _decision(
        self,
        state: LoopState,
        move_to: tuple[float, ...] | None,
        reason: str,
        stands: Standing,
        belief: Belief,
        undoes: bool = False,
    ) -> Decision:
        left = turn(stands.left_rad)
        x, y, z = (float(each) for each in left[:, 2])
        sigma = stands.excess - stands.excess_of_mean
        return Decision(
            state, move_to, reason, stands.excess, sigma, undoes=undoes, stokes=(z, x, y)
        )
