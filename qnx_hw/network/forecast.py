"""Forecasts of many quantities one interval ahead, with the range they usually stay in.

Simple models first. Each quantity follows the model with the least regret: its discounted error
beyond the simple rule's ("it stays as it is"). A model that is not clearly better than the simple
rule is not used, and a trained one is put aside when its errors drift, until trained anew.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from qnx_hw.network.topology import Floats

LAST, MEAN, SEASON, LEARNT = "last", "mean", "season", "learnt"
MODELS = (LAST, MEAN, SEASON, LEARNT)
LAGS = 8
"""Intervals back that the trained model looks."""
_KEPT = 2048
_MEMORY = 0.3
_DISCOUNT = 0.98
_BETTER = 0.97
"""A model must have at most this part of the simple rule's error to be used."""
_RESIDUALS = 128
_LOW, _HIGH = 0.1, 0.9
# Drift: the mean error of the last 16 steps against the 112 before, in units of their mean.
_DRIFT_STEPS, _DRIFT_RATIO = 16, 2.5
_LEAST_TO_TRAIN = 4 * LAGS


@dataclass(frozen=True, eq=False)
class Fit:
    """A trained model: what comes is `means + scales * ((lags - means) / scales) @ weights`."""

    weights: Floats
    """`(LAGS,)`, the newest lag first."""
    means: Floats
    scales: Floats


@dataclass(frozen=True, eq=False)
class Expectation:
    """What is expected of each quantity `(K,)` in the next interval."""

    values: Floats
    low: Floats
    high: Floats
    models: tuple[str, ...]


class Forecaster:
    """Follows K quantities; `observe` once an interval."""

    def __init__(self, count: int, *, season: int = 0) -> None:
        self._season = season
        self._past: deque[Floats] = deque(maxlen=_KEPT)
        self._residuals: deque[Floats] = deque(maxlen=_RESIDUALS)
        self._losses = np.zeros((len(MODELS), count))
        self._mean = np.full(count, np.nan)
        self._pending: Floats | None = None
        self._fit: Fit | None = None
        self.drifts = 0
        """How often the errors drifted so far."""

    @property
    def steps(self) -> int:
        """How many intervals are remembered."""
        return len(self._past)

    def observe(self, values: Floats) -> None:
        """Take what came; NaN where nothing is known, which counts as unchanged."""
        known = np.where(np.isfinite(values) & (values >= 0), values, np.nan)
        if self._past:
            known = np.where(np.isnan(known), self._past[-1], known)
        else:
            known = np.nan_to_num(known)
        if self._pending is not None:
            errors = np.abs(self._pending - known)
            # A model that cannot tell yet begins level with the simple rule.
            self._losses = _DISCOUNT * self._losses + np.where(np.isnan(errors), 0.0, errors)
            self._losses = np.where(np.isnan(errors), self._losses[0], self._losses)
            chosen = self._chosen()
            picked = np.take_along_axis(self._pending, chosen[None], axis=0)[0]
            self._residuals.append(known - picked)
            self._watch_drift()
        self._past.append(known)
        self._mean = np.where(
            np.isnan(self._mean), known, _MEMORY * known + (1 - _MEMORY) * self._mean
        )
        self._pending = self._predictions()

    def expect(self) -> Expectation:
        """Return what comes next; zeros before the first observation."""
        if self._pending is None:
            nothing = np.zeros(self._losses.shape[1])
            return Expectation(nothing, nothing, nothing, (LAST,) * nothing.size)
        chosen = self._chosen()
        values = np.maximum(np.take_along_axis(self._pending, chosen[None], axis=0)[0], 0.0)
        low, high = values, values
        if self._residuals:
            bounds = np.quantile(np.stack(self._residuals), (_LOW, _HIGH), axis=0)
            low = np.clip(values + bounds[0], 0.0, values)
            high = np.maximum(values + bounds[1], values)
        return Expectation(values, low, high, tuple(MODELS[model] for model in chosen))

    def lesson(self) -> Floats:
        """Return a copy of the past `(T, K)` to train on elsewhere."""
        return np.stack(self._past) if self._past else np.empty((0, self._losses.shape[1]))

    def learn(self, fit: Fit | None) -> None:
        """Take a trained model; it is used once it has shown to be better."""
        self._fit = fit
        self._losses[MODELS.index(LEARNT)] = self._losses[0]
        if self._past:
            self._pending = self._predictions()

    def _predictions(self) -> Floats:
        last = self._past[-1]
        predictions = np.full((len(MODELS), last.size), np.nan)
        predictions[0] = last
        predictions[1] = self._mean
        if 0 < self._season <= len(self._past) - 1:
            before = self._past[-self._season - 1]
            after = self._past[-self._season]
            predictions[2] = np.maximum(last + after - before, 0.0)
        if self._fit is not None and len(self._past) >= LAGS:
            lags = np.stack([self._past[-1 - lag] for lag in range(LAGS)])
            scaled = (lags - self._fit.means) / self._fit.scales
            learnt = self._fit.means + self._fit.scales * (self._fit.weights @ scaled)
            predictions[3] = np.maximum(learnt, 0.0)
        return predictions

    def _chosen(self) -> npt.NDArray[np.intp]:
        assert self._pending is not None
        losses = np.where(np.isnan(self._pending), np.inf, self._losses)
        losses[1:] /= _BETTER
        chosen: npt.NDArray[np.intp] = np.argmin(losses, axis=0)
        return chosen

    def _watch_drift(self) -> None:
        if len(self._residuals) < _RESIDUALS // 2:
            return
        errors = np.abs(np.stack(self._residuals)).sum(axis=1)
        late, before = errors[-_DRIFT_STEPS:].mean(), errors[:-_DRIFT_STEPS].mean()
        if late > _DRIFT_RATIO * max(before, 1e-12):
            self.drifts += 1
            self._fit = None
            while len(self._residuals) > _DRIFT_STEPS:
                self._residuals.popleft()


def train(past: Floats) -> Fit | None:
    """Fit one ridge autoregression for all quantities to `(T, K)`; None where too little is known.

    All quantities share their weights, each in its own units; pure, for an executor.
    """
    from sklearn.linear_model import Ridge

    if len(past) < _LEAST_TO_TRAIN:
        return None
    means, scales = past.mean(axis=0), past.std(axis=0)
    moving = scales > 1e-9 * np.maximum(means, 1e-9)
    if not moving.any():
        return None
    scales = np.where(moving, scales, 1.0)
    scaled = ((past - means) / scales)[:, moving]
    lags = [scaled[LAGS - 1 - lag : len(scaled) - 1 - lag].ravel() for lag in range(LAGS)]
    ridge = Ridge(alpha=1.0, fit_intercept=False)
    ridge.fit(np.stack(lags, axis=1), scaled[LAGS:].ravel())
    return Fit(np.asarray(ridge.coef_, dtype=np.float64), means, scales)
