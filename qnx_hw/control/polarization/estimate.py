"""What the counts of the settings used so far say about the channel.

For a maximally entangled pair, or for prepared states, everything between the two analysers is one
rotation: the correlations in Z and X are E = V · (Q Cᵀ), where C is what the actuator does and Q
what it has to do (the fixed handedness of the Bell state touches the unseen y alone). Q, its drift,
the visibility V and the actuator's own errors are fitted by Fisher scoring to the binomial counts
of all four pairs of bases, with a Gaussian prior. One setting leaves two candidates, Q and its
mirror image by half a turn about y; the second tells them apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.control.polarization.measurement import Measurement, counts
from qnx_hw.control.polarization.rotations import Real, angle_between, scattered, turn
from qnx_hw.control.polarization.solution import overlap

TURN, DRIFT, VISIBILITY, ERRORS = slice(0, 3), slice(3, 6), 6, 7
"""Places of the parameters."""
N_GRID = 4000
N_CANDIDATES = 6
APART_RAD = 0.5
MAX_STEPS = 14
# Detectors and splitters are not equal to better than this: correlations carry no more truth.
CORRELATION_FLOOR = 0.006
_EDGE = 1e-4
_NUDGE = 1e-5


@dataclass(frozen=True, slots=True, eq=False)
class Belief:
    """What is believed of channel and actuator, with the covariance of all parameters."""

    channel: Real
    """The rotation that a perfect setting equals, now."""
    drift: Real
    """By how much it turns from one measurement to the next, rad about x, y, z."""
    visibility: float
    errors: Real
    """The actuator's unknowns, (axes, 2)."""
    covariance: Real

    def advanced(self, noise_rad: float, memory: float) -> Belief:
        """Return the belief for the next measurement: drifted on, and less certain."""
        n = len(self.covariance)
        step = np.eye(n)
        step[TURN, DRIFT] = np.eye(3)
        step[DRIFT, DRIFT] *= memory
        covariance = step @ self.covariance @ step.T
        covariance[TURN, TURN] += noise_rad**2 / 3 * np.eye(3)
        covariance[DRIFT, DRIFT] += (1 - memory**2) * noise_rad**2 / 3 * np.eye(3)
        return Belief(
            turn(self.drift) @ self.channel,
            memory * self.drift,
            self.visibility,
            self.errors,
            covariance,
        )

    def loosened(self, sigma_rad: float) -> Belief:
        """Return the belief with so much more doubt about the channel."""
        covariance = self.covariance.copy()
        covariance[TURN, TURN] += sigma_rad**2 * np.eye(3)
        return Belief(self.channel, self.drift, self.visibility, self.errors, covariance)


@dataclass(frozen=True, slots=True, eq=False)
class Standing:
    """How a setting stands to the channel: the rotation left over, and how sure that is."""

    left_rad: Real
    covariance: Real
    visibility: float

    @property
    def excess(self) -> float:
        """Expected error rate above that of a perfect setting."""
        x, y, z = (self.left_rad**2 + np.diag(self.covariance)).tolist()
        return float(self.visibility * (x + 2 * y + z) / 8)

    @property
    def excess_of_mean(self) -> float:
        """The part of `excess` that moving would remove."""
        x, y, z = (self.left_rad**2).tolist()
        return float(self.visibility * (x + 2 * y + z) / 8)


def ignorance(actuator: Actuator, *, visibility: float = 0.95, drift_rad: float = 0.02) -> Belief:
    """Return the belief before the first measurement; its channel means nothing."""
    sigmas = actuator.error_sigmas
    variances = [10.0] * 3 + [drift_rad**2 / 3] * 3 + [0.04**2, *(sigmas.ravel() ** 2)]
    return Belief(
        np.eye(3), np.zeros(3), visibility, np.zeros_like(sigmas), np.diag(np.array(variances))
    )


def update(actuator: Actuator, belief: Belief, measurement: Measurement) -> tuple[Belief, float]:
    """Return the belief after a measurement, and how surprising that was.

    The surprise is the normalised square of the innovation: 4 on average where the belief holds.
    """
    problem = _Problem(
        actuator, belief, [measurement], np.zeros(1), np.asarray(np.linalg.inv(belief.covariance))
    )
    (found,), _ = problem.fit(np.zeros((1, problem.size)), belief.channel[None])
    return problem.belief(found, belief.channel), problem.surprise(belief.covariance)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """One channel that could have made the counts."""

    belief: Belief
    probability: float
    misfit: float
    """Deviance from the counts' own shares; about one for each of them where the model holds."""


def acquire(
    actuator: Actuator, prior: Belief, measurements: Sequence[Measurement]
) -> list[Candidate]:
    """Return the candidates for the channel now, likeliest first.

    `measurements` are in order of time, the newest last; nothing is assumed of the rotation.
    """
    ages = np.arange(len(measurements) - 1, -1, -1, dtype=np.float64)
    precision: Real = np.linalg.inv(prior.covariance).astype(np.float64)
    precision[TURN, TURN] = 0.0
    starts = np.stack(_starts(actuator, prior, list(measurements)))
    problem = _Problem(actuator, prior, list(measurements), ages, precision)
    parameters, deviances = problem.fit(np.zeros((len(starts), problem.size)), starts)
    channels = turn(parameters[:, TURN]) @ starts
    kept: list[tuple[Belief, float]] = []
    for number in np.argsort(deviances):
        if all(angle_between(channels[number], other.channel) > 0.1 for other, _ in kept):
            belief = problem.belief(parameters[number], starts[number])
            kept.append((belief, float(deviances[number])))
    weights = np.exp(-(np.array([deviance for _, deviance in kept]) - kept[0][1]) / 2)
    weights /= weights.sum()
    return [
        Candidate(belief, float(weight), deviance)
        for (belief, deviance), weight in zip(kept, weights, strict=True)
    ]


def foresee(
    actuator: Actuator,
    belief: Belief,
    settings: Real,
    coincidences: float,
    goal: tuple[float, ...],
) -> tuple[Real, Real]:
    """Return what uncertainty will cost at `goal` after one measurement at each of `settings`.

    The second value is the shares of equal outcomes (settings, 4) that are expected there.
    """
    quarter = coincidences / 4
    rounds = ((quarter, quarter), (quarter, quarter))
    nothing = [Measurement(tuple(each), rounds, rounds) for each in settings.tolist()]
    problem = _Problem(
        actuator, belief, nothing, np.zeros(len(settings)), np.eye(len(belief.covariance))
    )
    share, information = problem.information()
    known = np.linalg.inv(belief.covariance)
    covariance = np.linalg.inv(known + information)
    slope = _left(actuator, belief, goal)[1]
    left = np.einsum("ip,npq,iq->ni", slope, covariance, slope)
    return belief.visibility / 8 * (left[:, 0] + 2 * left[:, 1] + left[:, 2]), share


def standing(actuator: Actuator, belief: Belief, values: tuple[float, ...]) -> Standing:
    """Return how a setting would stand now."""
    left, slope = _left(actuator, belief, values)
    return Standing(left, slope @ belief.covariance @ slope.T, belief.visibility)


def _left(actuator: Actuator, belief: Belief, values: tuple[float, ...]) -> tuple[Real, Real]:
    """Return the rotation left over at a setting, and its slope over all parameters."""
    measurement = Measurement(values, ((0, 0), (0, 0)), ((0, 0), (0, 0)))
    problem = _Problem(actuator, belief, [measurement], np.zeros(1), np.eye(len(belief.covariance)))
    nudged = np.vstack([np.zeros(problem.size), _NUDGE * np.eye(problem.size)])
    whole = problem.wholes(nudged)[:, 0]
    left = np.stack(
        [
            whole[:, 2, 1] - whole[:, 1, 2],
            whole[:, 0, 2] - whole[:, 2, 0],
            whole[:, 1, 0] - whole[:, 0, 1],
        ],
        axis=1,
    )
    # The antisymmetric part is 2 sin(angle) · axis; the trace tells the angle beyond a right one.
    cosine = float(np.clip((np.trace(whole[0]) - 1) / 2, -1.0, 1.0))
    sine = float(np.linalg.norm(left[0])) / 2
    stretch = np.arctan2(sine, cosine) / sine / 2 if sine > 1e-9 else 0.5
    return left[0] * stretch, (left[1:] - left[0]).T / _NUDGE / 2


class _Problem:
    """Counts against parameters: turn, drift, visibility, errors; all relative to a belief."""

    def __init__(
        self,
        actuator: Actuator,
        centre: Belief,
        measurements: list[Measurement],
        ages: Real,
        precision: Real,
    ) -> None:
        self._actuator = actuator
        self._centre = centre
        self._values = np.array([each.values for each in measurements])
        self._ages = ages
        self._precision = precision
        equal, rounds = counts(measurements)
        share = equal / np.maximum(rounds, 1.0)
        self._rounds = rounds / (1 + rounds * CORRELATION_FLOOR**2)
        self._equal = share * self._rounds
        own = np.clip(share, 1e-12, 1 - 1e-12)
        self._own = 2 * float(
            np.sum(self._equal * np.log(own) + (self._rounds - self._equal) * np.log(1 - own))
        )
        self.size = ERRORS + 2 * len(actuator.elements)

    def wholes(self, parameters: Real, channels: Real | None = None) -> Real:
        """Return Q Cᵀ for parameter sets (b, size): (b, measurements, 3, 3).

        `channels` (b, 3, 3) are those that the sets turn, where not the belief's.
        """
        n_sets, n_values = len(parameters), len(self._values)
        n_axes = self._values.shape[1]
        drift = self._centre.drift + parameters[:, DRIFT]
        back = turn(-self._ages[None, :, None] * drift[:, None, :])
        turns = turn(parameters[:, TURN])
        channel = back @ (turns @ (self._centre.channel if channels is None else channels))[:, None]
        errors = self._centre.errors + parameters[:, ERRORS:].reshape(n_sets, n_axes, 2)
        turned = self._actuator.rotations(
            np.tile(self._values, (n_sets, 1)), np.repeat(errors, n_values, axis=0)
        ).reshape(n_sets, n_values, 3, 3)
        return np.asarray(channel @ np.swapaxes(turned, -1, -2))

    def shares(self, parameters: Real, channels: Real | None = None) -> Real:
        """Return the probabilities of equal outcomes (b, measurements × 4)."""
        seen = self.wholes(parameters, channels)[:, :, [[2, 2], [0, 0]], [[2, 0], [2, 0]]]
        visibility = np.clip(self._centre.visibility + parameters[:, VISIBILITY], 0.2, 1.0)
        share = (1 + visibility[:, None] * seen.reshape(len(parameters), -1)) / 2
        return np.asarray(np.clip(share, _EDGE, 1 - _EDGE))

    def deviances(self, parameters: Real, channels: Real) -> Real:
        """Return −2 log of the posteriors against that of the counts' own shares."""
        share = self.shares(parameters, channels)
        equal, rounds = self._equal.ravel(), self._rounds.ravel()
        told = np.log(share) @ equal + np.log(1 - share) @ (rounds - equal)
        prior = np.einsum("bp,pq,bq->b", parameters, self._precision, parameters)
        return np.asarray(self._own - 2 * told + prior)

    def fit(self, starts: Real, channels: Real) -> tuple[Real, Real]:
        """Return the likeliest parameters near each start, and their deviances.

        Fisher scoring with damping, of all starts (b, size) side by side.
        """
        here, deviances = starts.copy(), self.deviances(starts, channels)
        damping, open_ = np.full(len(starts), 1e-3), np.arange(len(starts))
        for _ in range(MAX_STEPS):
            gradient, information = self._score(here[open_], channels[open_])
            scale = np.diagonal(information, axis1=1, axis2=2) + 1e-9
            damped = information + damping[open_, None, None] * scale[:, None] * np.eye(self.size)
            step = np.linalg.solve(damped, gradient[..., None])[..., 0]
            longest = np.linalg.norm(step[:, TURN], axis=1)
            tried = here[open_] + step / np.maximum(longest, 1.0)[:, None]
            there, before = self.deviances(tried, channels[open_]), deviances[open_]
            better = there <= before
            here[open_[better]], deviances[open_[better]] = tried[better], there[better]
            worse = np.maximum(10 * damping[open_], 1e-2)
            damping[open_] = np.where(better, damping[open_] / 10, worse)
            open_ = open_[~(better & (before - there < 1e-4))]
            if not open_.size:
                break
        return here, deviances

    def belief(self, parameters: Real, channel: Real) -> Belief:
        """Return the belief around parameters fitted from this channel."""
        information = self._score(parameters[None], channel[None])[1][0]
        covariance = np.linalg.inv(information + 1e-6 * np.eye(self.size))
        centre = self._centre
        return Belief(
            turn(parameters[TURN]) @ channel,
            centre.drift + parameters[DRIFT],
            float(np.clip(centre.visibility + parameters[VISIBILITY], 0.2, 1.0)),
            centre.errors + parameters[ERRORS:].reshape(-1, 2),
            (covariance + covariance.T) / 2,
        )

    def surprise(self, covariance: Real) -> float:
        """Return the squared innovation over its variance, summed over the four correlations."""
        share, slope = self._slopes_here()
        rounds = np.maximum(self._rounds.ravel(), 1e-9)
        seen = self._equal.ravel() / rounds
        smooth = (self._equal.ravel() + 1) / (rounds + 2)
        noise = np.maximum(share * (1 - share), smooth * (1 - smooth)) / rounds
        spread = slope @ covariance @ slope.T + np.diag(noise)
        gap = seen - share
        return float(gap @ np.linalg.solve(spread, gap))

    def information(self) -> tuple[Real, Real]:
        """Return shares (settings, 4) and the Fisher information of each setting by itself."""
        share, slope = self._slopes_here()
        weight = self._rounds.ravel() / (share * (1 - share))
        n = len(self._values)
        slopes, weights = slope.reshape(n, 4, -1), weight.reshape(n, 4)
        told = np.einsum("nk,nkp,nkq->npq", weights, slopes, slopes)
        return share.reshape(n, 4), told

    def _score(self, parameters: Real, channels: Real) -> tuple[Real, Real]:
        share, slope = self._slopes(parameters, channels)
        rounds = self._rounds.ravel()
        weight = rounds / (share * (1 - share))
        gap = self._equal.ravel() - rounds * share
        told = (slope.swapaxes(1, 2) @ (gap / (share * (1 - share)))[..., None])[..., 0]
        gradient = told - parameters @ self._precision
        information = slope.swapaxes(1, 2) @ (weight[..., None] * slope) + self._precision
        return gradient, information

    def _slopes_here(self) -> tuple[Real, Real]:
        (share,), (slope,) = self._slopes(np.zeros((1, self.size)), self._centre.channel[None])
        return share, slope

    def _slopes(self, parameters: Real, channels: Real) -> tuple[Real, Real]:
        """Return shares (b, counts) and their slopes over the parameters (b, counts, size)."""
        nudges = np.vstack([np.zeros(self.size), _NUDGE * np.eye(self.size)])
        around = (parameters[:, None] + nudges).reshape(-1, self.size)
        shares = self.shares(around, np.repeat(channels, len(nudges), axis=0))
        shares = shares.reshape(len(parameters), len(nudges), -1)
        slopes = (shares[:, 1:] - shares[:, :1]) / _NUDGE
        return shares[:, 0], slopes.swapaxes(1, 2)


def _starts(actuator: Actuator, prior: Belief, measurements: list[Measurement]) -> list[Real]:
    """Return the likeliest rotations of a grid that are well apart."""
    grid = _grid()
    values = np.array([each.values for each in measurements])
    turned = actuator.rotations(
        values, np.broadcast_to(prior.errors, (len(values), *prior.errors.shape))
    )
    equal, rounds = counts(measurements)
    share = equal / np.maximum(rounds, 1.0)
    # The grid is coarse: too many counts would leave one point by chance.
    rounds = rounds / (1 + rounds / 100)
    seen = overlap(grid[:, None], turned[None]).reshape(len(grid), len(values), 4)
    likely = np.clip((1 + prior.visibility * seen) / 2, 0.01, 0.99)
    told = np.sum(rounds * (share * np.log(likely) + (1 - share) * np.log(1 - likely)), axis=(1, 2))
    starts: list[Real] = []
    for index in np.argsort(-told)[:400]:
        if all(angle_between(grid[index], other) > APART_RAD for other in starts):
            starts.append(grid[index])
            if len(starts) == N_CANDIDATES:
                break
    return starts


@lru_cache(maxsize=1)
def _grid() -> Real:
    return scattered(N_GRID, np.random.default_rng(11))
