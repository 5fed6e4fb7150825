"""Alignment without a model: searches that only look at the error rate.

Each search is a generator that yields a setting and is sent the error rate measured there; it runs
on for ever. Settings are in parts of each axis' range, 0 to 1, so that one step size suits all.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import TypeAlias

import numpy as np

from qnx_hw.api.loops import LoopState
from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.aligner import Aligner, Decision
from qnx_hw.control.polarization.measurement import Measurement
from qnx_hw.control.polarization.rotations import Real

Search: TypeAlias = Generator[Real, float, None]
MakeSearch: TypeAlias = Callable[[Actuator, Real, np.random.Generator], Search]


class Searching(Aligner):
    """Runs a search until the error rate is at the target, then rests until it rises again.

    A step after which the error rate is worse than the best one seen by more than three standard
    errors is undone when the search would rest, or when it is told to stop there.
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
        self._best: tuple[float, tuple[float, ...]] | None = None
        self._is_resting = False

    def observe(self, measurement: Measurement) -> Decision:
        """Take the error rate of a setting."""
        rate, sigma = measurement.qber, measurement.qber_sigma
        if measurement.coincidences < 20:
            state = LoopState.TRACKING if self._is_resting else LoopState.SEARCHING
            return Decision(state, None, "too few coincidences to judge by")
        if rate <= self._target + (sigma if self._is_resting else 0.0):
            self._is_resting, self._search = True, None
            return Decision(LoopState.TRACKING, None, "at the target", rate, sigma)
        if self._is_resting and rate < self._target + 3 * sigma:
            return Decision(LoopState.TRACKING, None, "near the target", rate, sigma)
        self._is_resting = False
        return self._step(measurement)

    def _step(self, measurement: Measurement) -> Decision:
        low, span = self._actuator.lows, self._actuator.highs - self._actuator.lows
        if self._search is None:
            rng = np.random.default_rng(self._seed)
            here = (np.array(measurement.values) - low) / span
            self._search = self._make_search(self._actuator, here, rng)
            self._best = measurement.qber, measurement.values
            wanted = next(self._search)
        else:
            assert self._best is not None
            worse = measurement.qber > self._best[0] + 0.2
            if worse and measurement.values != self._best[1] and self._best[0] < 0.1:
                # Far off a good place: the fibre has jumped, or the move went astray.
                back, self._search = self._best[1], None
                self._best = 1.0, back
                return self._decide(measurement, back, "a step made it far worse", undoes=True)
            self._best = min(self._best, (measurement.qber, measurement.values))
            wanted = self._search.send(measurement.qber)
        values = self._actuator.within(low + wanted * span)
        return self._decide(measurement, tuple(values.tolist()), "the search goes on")

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
    best = yield here
    while True:
        improved = False
        for axis in range(len(here)):
            for side in (1.0, -1.0):
                tried = here.copy()
                tried[axis] = _inside(actuator, axis, tried[axis] + side * step)
                rate = yield tried
                if rate < best:
                    here, best, improved = tried, rate, True
                    break
        if not improved:
            step = step / 2 if step > 0.004 else first
            best = yield here


def line_search(actuator: Actuator, start: Real, rng: np.random.Generator) -> Search:
    """Fit a + b cos + c sin to five points of one axis after another and go to its least value.

    Exact for a rotating plate: the error rate of each is a sum of such waves in 2θ and 4θ.
    """
    here, reach = start, 0.5
    while True:
        for axis in range(len(here)):
            offsets = np.linspace(-reach, reach, 5, endpoint=False) + reach / 5
            rates = []
            for offset in offsets:
                tried = here.copy()
                tried[axis] = _inside(actuator, axis, tried[axis] + offset)
                rates.append((yield tried))
            waves = np.stack([_waves(offsets, reach, n) for n in range(5)], axis=1)
            parts = np.linalg.lstsq(waves, np.array(rates), rcond=None)[0]
            fine = np.linspace(-reach, reach, 201)
            model = sum(parts[n] * _waves(fine, reach, n) for n in range(5))
            here = here.copy()
            here[axis] = _inside(actuator, axis, here[axis] + float(fine[np.argmin(model)]))
        yield here


def spsa(
    actuator: Actuator, start: Real, rng: np.random.Generator, *, gain: float = 0.12
) -> Search:
    """Simultaneous perturbation (Spall, IEEE Trans. Autom. Control 37, 332 (1992), eq. 2.2)."""
    here, number = start, 0
    while True:
        number += 1
        step, size = gain / (number + 5) ** 0.3, 0.06 / number**0.101
        side = rng.choice([-1.0, 1.0], size=len(here))
        above = yield _all_inside(actuator, here + size * side)
        below = yield _all_inside(actuator, here - size * side)
        here = _all_inside(actuator, here - step * (above - below) / (2 * size) * side)


def spgd(
    actuator: Actuator,
    start: Real,
    rng: np.random.Generator,
    *,
    gain: float = 12.0,
    size: float = 0.03,
) -> Search:
    """Parallel gradient descent with a constant gain (Vorontsov et al., Opt. Lett. 22, 907)."""
    here = start
    while True:
        side = size * rng.choice([-1.0, 1.0], size=len(here))
        above = yield _all_inside(actuator, here + side)
        below = yield _all_inside(actuator, here - side)
        here = _all_inside(actuator, here - gain * (above - below) * side)


def nelder_mead(
    actuator: Actuator, start: Real, rng: np.random.Generator, *, first: float = 0.15
) -> Search:
    """The simplex of Nelder and Mead, Comput. J. 7, 308 (1965); begun anew where it has shrunk."""
    size = len(start)
    while True:
        points = [start, *(_all_inside(actuator, start + first * row) for row in np.eye(size))]
        rates = []
        for point in points:
            rates.append((yield point))
        while np.ptp(points, axis=0).max() > 0.004:
            order = np.argsort(rates)
            points, rates = [points[i] for i in order], [rates[i] for i in order]
            middle = np.mean(points[:-1], axis=0)
            mirrored = _all_inside(actuator, 2 * middle - points[-1])
            rate = yield mirrored
            if rate < rates[0]:
                further = _all_inside(actuator, 3 * middle - 2 * points[-1])
                far = yield further
                points[-1], rates[-1] = (further, far) if far < rate else (mirrored, rate)
            elif rate < rates[-2]:
                points[-1], rates[-1] = mirrored, rate
            else:
                near = (middle + points[-1]) / 2
                close = yield near
                if close < rates[-1]:
                    points[-1], rates[-1] = near, close
                else:
                    for n in range(1, size + 1):
                        points[n] = (points[0] + points[n]) / 2
                        rates[n] = yield points[n]
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
        rates.append((yield point))
    while True:
        kernel = 0.1 * RBF(0.15) + WhiteKernel(1e-4)
        process = GaussianProcessRegressor(kernel, optimizer=None, normalize_y=True)
        process.fit(_circle(actuator, np.array(seen[-60:])), rates[-60:])
        best = seen[int(np.argmin(rates))]
        near = best + 0.05 * rng.standard_normal((200, size))
        tried = _all_inside(actuator, np.vstack([rng.random((600, size)), near]))
        mean, sigma = process.predict(_circle(actuator, tried), return_std=True)
        point = tried[int(np.argmin(mean - sigma))]
        seen.append(point)
        rates.append((yield point))


def _waves(offset: Real, reach: float, number: int) -> Real:
    turn = np.pi * ((number + 1) // 2) * offset / reach
    return np.asarray(np.cos(turn) if number % 2 == 0 else np.sin(turn))


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


def _inside(actuator: Actuator, axis: int, part: float) -> float:
    return part % 1.0 if actuator.axes[axis].periodic else min(max(part, 0.0), 1.0)


def _all_inside(actuator: Actuator, parts: Real) -> Real:
    periodic = np.array([axis.periodic for axis in actuator.axes])
    return np.where(periodic, parts % 1.0, np.clip(parts, 0.0, 1.0))
