"""A peer: direct optimisation by a network, after DOTE (Perry et al., NSDI 2023), in numpy.

A fully connected network takes the last matrices and gives path splits (a softmax within each pair
of nodes). It is trained once, by Adam, on the largest utilisation that its splits would have had in
the step that followed, over that step's demand; a soft maximum over links passes gradients to all
that are nearly the fullest.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats

HISTORY, WIDTH, BATCH, PASSES = 12, 128, 32, 12
RATE, SHARPNESS = 1e-3, 30.0
_Single = npt.NDArray[np.float32]


@dataclass(eq=False)
class Dote:
    """A trained network for one set of paths."""

    paths: PathSet
    scale: float
    weights: list[_Single]

    @classmethod
    def trained(cls, paths: PathSet, demands: Floats, seed: int = 0) -> Dote:
        """Train on `(T, P)`."""
        rng = np.random.default_rng(seed)
        sizes = (HISTORY * demands.shape[1], WIDTH, WIDTH, len(paths))
        weights: list[_Single] = []
        for many, few in pairwise(sizes):
            drawn = rng.normal(0, np.sqrt(2 / many), (many, few))
            weights += [drawn.astype(np.float32), np.zeros(few, dtype=np.float32)]
        weights[-2] *= 0.01
        network = cls(paths, float(demands.mean()) or 1.0, weights)
        moments = [(np.zeros_like(each), np.zeros_like(each)) for each in weights]
        steps = np.arange(HISTORY, len(demands))
        rounds = 0
        for _ in range(PASSES):
            rng.shuffle(steps)
            for batch in np.array_split(steps, max(1, len(steps) // BATCH)):
                rounds += 1
                gradients = network._gradients(_past(demands, batch), demands[batch])
                for place, gradient in enumerate(gradients):
                    _follow(weights[place], gradient, *moments[place], rounds)
        return network

    def splits(self, past: Floats) -> Floats:
        """Return the splits for the step after `past (T, P)`."""
        layers = self._forward(past[-HISTORY:].reshape(1, -1))
        return self._softmax(layers[-1])[0].astype(np.float64)

    def _forward(self, history: Floats) -> list[_Single]:
        layers = [np.log1p(history / self.scale).astype(np.float32)]
        for place in range(0, len(self.weights), 2):
            drive = layers[-1] @ self.weights[place] + self.weights[place + 1]
            is_last = place == len(self.weights) - 2
            layers.append(drive if is_last else np.maximum(drive, 0))
        return layers

    def _softmax(self, drives: _Single) -> _Single:
        first = self.paths.first[:-1]
        counts = np.diff(self.paths.first)
        high = np.repeat(np.maximum.reduceat(drives, first, axis=1), counts, axis=1)
        grown = np.exp(drives - high)
        total = np.repeat(np.add.reduceat(grown, first, axis=1), counts, axis=1)
        shares: _Single = grown / total
        return shares

    def _gradients(self, history: Floats, came: Floats) -> list[_Single]:
        layers = self._forward(history)
        shares = self._softmax(layers[-1])
        demand = came[:, self.paths.pair_of]
        over = self.paths.incidence.toarray() / self.paths.topology.capacities
        used = (shares * demand) @ over
        fullest = used.max(axis=1, keepdims=True)
        weight = np.exp(SHARPNESS * (used / np.maximum(fullest, 1e-12) - 1))
        weight /= weight.sum(axis=1, keepdims=True) * np.maximum(fullest, 1e-12)
        to_share = (weight @ over.T) * demand / len(came)
        first, counts = self.paths.first[:-1], np.diff(self.paths.first)
        mean = np.repeat(np.add.reduceat(shares * to_share, first, axis=1), counts, axis=1)
        back = (shares * (to_share - mean)).astype(np.float32)
        gradients: list[_Single] = []
        for place in range(len(self.weights) - 2, -1, -2):
            below = layers[place // 2]
            gradients = [below.T @ back, back.sum(axis=0), *gradients]
            back = (back @ self.weights[place].T) * (below > 0)
        return gradients


def _follow(
    weight: _Single, gradient: _Single, mean: _Single, square: _Single, rounds: int
) -> None:
    """Take one step of Adam (Kingma and Ba 2015, algorithm 1), in place."""
    mean += 0.1 * (gradient - mean)
    square += 0.001 * (gradient**2 - square)
    unbiased = mean / (1 - 0.9**rounds)
    weight -= RATE * unbiased / (np.sqrt(square / (1 - 0.999**rounds)) + 1e-8)


def _past(demands: Floats, steps: npt.NDArray[np.int64]) -> Floats:
    return np.stack([demands[step - HISTORY : step].ravel() for step in steps])
