"""Alignment without a model: searches that only look at the error rate.

Each search is a generator that yields what to measure and is sent the error rate seen there; it
runs on for ever. Settings are in parts of each element's effect, 0 to 1, so that one step size
suits all; those of periodic axes go on beyond.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import NamedTuple, TypeAlias

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.aligner import Aligner, Decision
from qnx_hw.control.polarization.measurement import Measurement
from qnx_hw.control.polarization.rotations import Real


class Trial(NamedTuple):
    """What a search wants to see next."""

    at: Real
    rests: Real
    """Where it would stay if it had to end now."""


Search: TypeAlias = Generator[Trial, float, None]
MakeSearch: TypeAlias = Callable[[Actuator, Real, np.random.Generator], Search]


FAR_WORSE = 0.2
"""By so much the error rate at a known place rises only when the fibre has jumped."""


class Searching(Aligner):
    """Runs a search until both error rates are at the target, then rests until it rises again.

    Every search keeps a place where it would rest and comes back to it from trials that were worse.
    Where that place itself is far worse than it was, the fibre has jumped, and a new search begins.
    """

    def __init__(
        self, actuator: Actuator, make_search: MakeSearch, *, target: float = 0.03, seed: int = 1
    ) -> None:
        self._actuator = actuator
        self._make_search = make_search
        self._target = target
        self._seed = seed
        self.restart()

    def restart(self) -> None:
        """Search again."""
        self._search: Search | None = None
        self._best = 1.0
        self._is_resting = False
        self._rests: tuple[float, ...] | None = None

    def observe(self, measurement: Measurement) -> Decision:
        """Take the error rate of a setting."""
        rate, worse, sigma = measurement.qber, measurement.worse_qber, measurement.qber_sigma
        if measurement.coincidences < 20:
            state = LoopState.TRACKING if self._is_resting else LoopState.SEARCHING
            return Decision(state, None, "too few coincidences to judge by")
        if worse <= self._target + (sigma if self._is_resting else 0.0):
            self._is_resting, self._search = True, None
            return Decision(LoopState.TRACKING, None, "at the target", rate, sigma)
        if self._is_resting and worse < self._target + 3 * sigma:
            return Decision(LoopState.TRACKING, None, "near the target", rate, sigma)
        self._is_resting = False
        return self._step(measurement)

    def _step(self, measurement: Measurement) -> Decision:
        rate, reason = measurement.qber, "the search goes on"
        if self._search is not None and measurement.values == self._rests:
            if rate > self._best + FAR_WORSE:
                self._search, reason = None, "far worse where it was good; a new search begins"
            self._best = rate
        is_back = False
        if self._search is None:
            rng = np.random.default_rng(self._seed)
            here = self._actuator.parts(measurement.values)
            self._search = self._make_search(self._actuator, here, rng)
            self._best = rate
            wanted = next(self._search)
        else:
            self._best = min(self._best, rate)
            wanted = self._search.send(rate)
            is_back = np.array_equal(wanted.at, wanted.rests)
        at, rests = self._actuator.settings(np.stack(wanted)).tolist()
        self._rests = tuple(rests)
        return self._decide(measurement, tuple(at), reason, undoes=is_back)

    def _decide(
        self,
        measurement: Measurement,
        move_to: tuple[float, ...],
        reason: str,
        *,
        undoes: bool = False,
    ) -> Decision:
        return Decision(
            LoopState.SEARCHING,
            move_to,
            reason,
            measurement.qber,
            measurement.qber_sigma,
            undoes=undoes,
        )


def coordinate(
    actuator: Actuator, start: Real, rng: np.random.Generator, *, first: float = 0.12
) -> Search:
    """Try a step up and down on one axis after another; halve the step after a fruitless round."""
    here, step = start, first
    best = yield Trial(here, here)
    while True:
        improved = False
        for axis in range(len(here)):
            for side in (1.0, -1.0):
                tried = _inside(actuator, here + side * step * np.eye(len(here))[axis])
                rate = yield Trial(tried, here)
                if rate < best:
                    here, best, improved = tried, rate, True
                    break
        if not improved:
            step = step / 2 if step > 0.004 else first
            best = yield Trial(here, here)


def line_search(actuator: Actuator, start: Real, rng: np.random.Generator) -> Search:
    """Fit two waves to five points of one axis after another and go to their least value.

    Exact wherever a whole period is within reach: the error rate is a sum of waves in 2θ and 4θ of
    a plate's angle, or in the retardance of a driven element.
    """
    here = start
    while True:
        for number, element in enumerate(actuator.elements):
            axis = actuator.axes[number]
            period = element.period(axis)
            width = period if axis.periodic else min(period, 1.0)
            low = here[number] - width / 2
            low = low if axis.periodic else min(max(low, 0.0), 1.0 - width)
            places = low + width * (np.arange(5) + 0.5) / 5
            rates = []
            for place in places:
                rates.append((yield Trial(_with(here, number, place), here)))
            parts = np.linalg.lstsq(_waves(places / period), np.array(rates), rcond=None)[0]
            fine = np.linspace(low, low + width, 201)
            here = _with(here, number, float(fine[np.argmin(_waves(fine / period) @ parts)]))


def spsa(
    actuator: Actuator,
    start: Real,
    rng: np.random.Generator,
    *,
    gain: float = 0.01,
    size: float = 0.015,
) -> Search:
    """Simultaneous perturbation (Spall, IEEE Trans. Autom. Control 37, 332 (1992), eq. 2.2)."""
    here, number = start, 0
    while True:
        number += 1
        step, reach = gain / (number + 5) ** 0.3, size / number**0.101
        side = rng.choice([-1.0, 1.0], size=len(here))
        above = yield Trial(_inside(actuator, here + reach * side), here)
        below = yield Trial(_inside(actuator, here - reach * side), here)
        here = _inside(actuator, here - step * (above - below) / (2 * reach) * side)


def spgd(
    actuator: Actuator,
    start: Real,
    rng: np.random.Generator,
    *,
    gain: float = 2.0,
    size: float = 0.03,
) -> Search:
    """Parallel gradient descent with a constant gain (Vorontsov et al., Opt. Lett. 22, 907)."""
    here = start
    while True:
        side = size * rng.choice([-1.0, 1.0], size=len(here))
        above = yield Trial(_inside(actuator, here + side), here)
        below = yield Trial(_inside(actuator, here - side), here)
        here = _inside(actuator, here - gain * (above - below) * side)


def nelder_mead(
    actuator: Actuator, start: Real, rng: np.random.Generator, *, first: float = 0.15
) -> Search:
    """The simplex of Nelder and Mead, Comput. J. 7, 308 (1965); begun anew where it has shrunk."""
    size = len(start)
    while True:
        points = [start, *(_inside(actuator, start + first * row) for row in np.eye(size))]
        rates = []
        for point in points:
            rates.append((yield Trial(point, start)))
        while np.ptp(points, axis=0).max() > 0.004:
            order = np.argsort(rates)
            points, rates = [points[i] for i in order], [rates[i] for i in order]
            middle, best = np.mean(points[:-1], axis=0), points[0]
            mirrored = _inside(actuator, 2 * middle - points[-1])
            rate = yield Trial(mirrored, best)
            if rate < rates[0]:
                further = _inside(actuator, 3 * middle - 2 * points[-1])
                far = yield Trial(further, mirrored)
                points[-1], rates[-1] = (further, far) if far < rate else (mirrored, rate)
            elif rate < rates[-2]:
                points[-1], rates[-1] = mirrored, rate
            else:
                near = (middle + points[-1]) / 2
                close = yield Trial(near, best)
                if close < rates[-1]:
                    points[-1], rates[-1] = near, close
                else:
                    for n in range(1, size + 1):
                        points[n] = (points[0] + points[n]) / 2
                        rates[n] = yield Trial(points[n], best)
        start = points[int(np.argmin(rates))]


def gaussian_process(actuator: Actuator, start: Real, rng: np.random.Generator) -> Search:
    """Least lower confidence bound of a Gaussian process over the newest 60 settings."""
    from sklearn.gaussian_process import GaussianProcessRegressor
    from sklearn.gaussian_process.kernels import RBF, WhiteKernel

    size = len(start)
    seen: list[Real] = []
    rates: list[float] = []
    for point in [start, *rng.random((4 * size, size))]:
        seen.append(point)
        rates.append((yield Trial(point, start)))
    while True:
        kernel = 0.1 * RBF(0.15) + WhiteKernel(1e-4)
        process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        process.fit(_circle(actuator, np.array(seen[-60:])), rates[-60:])
        best = seen[int(np.argmin(rates))]
        near = best + 0.05 * rng.standard_normal((200, size))
        tried = _inside(actuator, np.vstack([rng.random((600, size)), near]))
        mean, sigma = process.predict(_circle(actuator, tried), return_std=True)
        point = tried[int(np.argmin(mean - sigma))]
        seen.append(point)
        rates.append((yield Trial(point, best)))


def _waves(periods: Real) -> Real:
    """Return a constant, and cosine and sine of the first two waves, as columns."""
    turn = 2 * np.pi * periods[:, None] * np.array([1.0, 2.0])
    return np.hstack([np.ones((len(periods), 1)), np.cos(turn), np.sin(turn)])


def _with(here: Real, axis: int, part: float) -> Real:
    there = here.copy()
    there[axis] = part
    return there


def _circle(actuator: Actuator, points: Real) -> Real:
    """Return points in which the two ends of a periodic axis meet."""
    columns = []
    for number, axis in enumerate(actuator.axes):
        if axis.periodic:
            turn = 2 * np.pi * points[:, number]
            columns += [np.cos(turn) / 4, np.sin(turn) / 4]
        else:
            columns.append(points[:, number])
    return np.stack(columns, axis=1)


def _inside(actuator: Actuator, parts: Real) -> Real:
    """Return parts cut off at the ends of axes that have some."""
    periodic = np.array([axis.periodic for axis in actuator.axes])
    return np.where(periodic, parts, np.clip(parts, 0.0, 1.0))
