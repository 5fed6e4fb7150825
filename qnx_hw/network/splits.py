"""First-order search for splits that are good over many scenarios at once.

Variables are one logit per path, softmax per pair. Minimised is the weighted mean over scenarios of
a smooth maximum (log-sum-exp) of link utilisation, by Adam; the sharpness of the maximum grows
tenfold over the run. A smooth solution keeps its quality when the demand turns out different, where
the vertex of a linear programme does not.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats

Singles = npt.NDArray[np.float32]
# Sharpness of the smooth maximum in the first and last round, in units of 1 / largest utilisation.
_SHARP_FIRST, _SHARP_GROWTH = 8.0, 10.0
# Adam: memory of the mean and of the square, step in logits.
_MEMORY_MEAN, _MEMORY_SQUARE, _STEP = 0.9, 0.99, 0.1
# A split of e^-12 of the largest is none; unbounded logits would never come back.
_LOGIT_LIMIT = 12.0


def search(
    paths: PathSet, scenarios: Floats, weights: Floats, start: Floats, *, iterations: int
) -> Floats:
    """Return logits `(paths,)` that are good for all `scenarios` `(S, P)`, weighted by `(S,)`."""
    logits = start.copy()
    _descend(
        np.ascontiguousarray(scenarios, dtype=np.float32),
        np.ascontiguousarray(weights / weights.sum(), dtype=np.float32),
        (1.0 / paths.topology.capacities).astype(np.float32),
        (paths.offsets, paths.links, paths.first),
        logits,
        iterations,
    )
    return logits


def shares(paths: PathSet, logits: Floats) -> Floats:
    """Return the splits `(paths,)` of logits: softmax per pair."""
    splits = np.empty_like(logits)
    _softmax(paths.first, logits, splits)
    return splits


@numba.njit(nogil=True, cache=True)
def _softmax(first, logits, splits):  # type: ignore[no-untyped-def]
    for pair in range(first.size - 1):
        low, high = first[pair], first[pair + 1]
        largest = logits[low:high].max()
        total = 0.0
        for path in range(low, high):
            splits[path] = math.exp(logits[path] - largest)
            total += splits[path]
        for path in range(low, high):
            splits[path] /= total


@numba.njit(nogil=True, cache=True, fastmath=True)
def _descend(demands, weights, inverse, structure, logits, iterations):  # type: ignore[no-untyped-def]
    first = structure[2]
    splits, slope = np.empty(logits.size), np.empty(logits.size)
    mean, square = np.zeros(logits.size), np.zeros(logits.size)
    use = np.zeros((first.size - 1, inverse.size), dtype=np.float32)
    demands_by_pair = np.ascontiguousarray(demands.T)
    for turn in range(iterations):
        _softmax(first, logits, splits)
        _spread(splits, inverse, structure, use)
        load = np.dot(demands, use)
        sharp = _SHARP_FIRST * _SHARP_GROWTH ** (turn / max(1, iterations - 1))
        _weigh(load, weights, sharp)
        _slopes(np.dot(demands_by_pair, load), splits, inverse, structure, slope)
        if not _adam(turn, slope, mean, square, logits):
            return


@numba.njit(nogil=True, cache=True)
def _spread(splits, inverse, structure, use):  # type: ignore[no-untyped-def]
    """Write the utilisation that one unit of each pair's demand puts on each link."""
    offsets, links, first = structure
    use[:] = 0.0
    for pair in range(first.size - 1):
        for path in range(first[pair], first[pair + 1]):
            for place in range(offsets[path], offsets[path + 1]):
                use[pair, links[place]] += splits[path] * inverse[links[place]]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _weigh(load, weights, sharp):  # type: ignore[no-untyped-def]
    """Replace utilisations by the gradient of the weighted smooth maxima."""
    for scenario in range(load.shape[0]):
        row = load[scenario]
        peak = row.max()
        if peak <= 0.0:
            row[:] = 0.0
            continue
        total = 0.0
        for link in range(row.size):
            row[link] = math.exp(sharp * (row[link] / peak - 1.0))
            total += row[link]
        row *= weights[scenario] / total


@numba.njit(nogil=True, cache=True, fastmath=True)
def _slopes(push, splits, inverse, structure, slope):  # type: ignore[no-untyped-def]
    """Carry the gradient from links through paths to logits."""
    offsets, links, first = structure
    for pair in range(first.size - 1):
        average = 0.0
        for path in range(first[pair], first[pair + 1]):
            cost = 0.0
            for place in range(offsets[path], offsets[path + 1]):
                cost += push[pair, links[place]] * inverse[links[place]]
            slope[path] = cost
            average += cost * splits[path]
        for path in range(first[pair], first[pair + 1]):
            slope[path] = (slope[path] - average) * splits[path]


@numba.njit(nogil=True, cache=True, fastmath=True)
def _adam(turn, slope, mean, square, logits):  # type: ignore[no-untyped-def]
    """Move the logits one step (Kingma and Ba 2015, algorithm 1); False where all is flat."""
    size = np.abs(slope).max()
    if size == 0.0:
        return False
    rise_mean = 1.0 - _MEMORY_MEAN ** (turn + 1)
    rise_square = 1.0 - _MEMORY_SQUARE ** (turn + 1)
    for path in range(logits.size):
        pull = slope[path] / size
        mean[path] = _MEMORY_MEAN * mean[path] + (1.0 - _MEMORY_MEAN) * pull
        square[path] = _MEMORY_SQUARE * square[path] + (1.0 - _MEMORY_SQUARE) * pull * pull
        move = _STEP * (mean[path] / rise_mean) / (math.sqrt(square[path] / rise_square) + 1e-8)
        logits[path] = min(max(logits[path] - move, -_LOGIT_LIMIT), _LOGIT_LIMIT)
    return True
