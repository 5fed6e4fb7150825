"""First-order search for splits that are good over many scenarios at once.

Variables are one logit per path, softmax per pair. Minimised is the weighted mean over scenarios
of the logarithm of a smooth maximum (log-sum-exp) of link utilisation, by Adam; the sharpness of
the maximum grows tenfold over the run. The logarithm makes a part count alike in calm and busy
cases. With a power above 0 it is instead that power of the maximum, over the least that the links
of each node allow any routing: the worst cases count the more. A smooth solution keeps its quality
when the demand turns out different, where the vertex of a linear programme does not.

The loops are compiled into one piece (`inline`). Pieces of their own are joined by whichever was
loaded first, so a search that had just been compiled ended elsewhere than one from the cache.
"""

from __future__ import annotations

import math

import numba
import numpy as np
import numpy.typing as npt

from qnx_hw.network.paths import PathSet
from qnx_hw.network.topology import Floats, Integers, Topology

Singles = npt.NDArray[np.float32]
Structure = tuple[Integers, Integers, Integers, Integers, Integers]
"""Of the paths: `offsets`, `slots`, `first`; of the slots: `offsets`, `links`."""
# Sharpness of the smooth maximum in the first and last round, in units of 1 / largest utilisation.
_SHARP_FIRST, _SHARP_GROWTH = 8.0, 10.0
# Adam: memory of the mean and of the square, step in logits.
_MEMORY_MEAN, _MEMORY_SQUARE, _STEP = 0.9, 0.99, 0.1
# A split of e^-12 of the largest is none; unbounded logits would never come back.
_LOGIT_LIMIT = 12.0
# Scenarios that a round looks at: at most, and at least in large networks.
_PART_SIZE, _LEAST_PART = 64, 4
# Scenarios times slots (a pair and a link that it may use) in one round: at most, and up to which
# a part may be larger.
_ROUND_WORK, _LITTLE_WORK = 4_000_000, 70_000
# Links narrower than that are no different from each other; more would not fit into a float.
_NARROWEST = 1e15
# So many times what is least all is alike: the worst alone would have a say.
_MUCH_WORSE = np.float32(10.0)
# Below e^-12 of the largest a link has no say; below this share it carries nothing.
_FAR_BELOW, _NO_SHARE = np.float32(-12.0), np.float32(0.0)


def search(
    paths: PathSet,
    scenarios: Floats,
    weights: Floats,
    start: Floats,
    *,
    iterations: int,
    power: float = 0.0,
) -> Floats:
    """Return logits `(paths,)` that are good for all `scenarios` `(S, P)`, weighted by `(S,)`.

    The first scenario counts in every round; of the others each round looks at one part in turn.
    """
    logits = start.copy()
    if not logits.size:
        return logits
    slots, offsets, links = paths.supports
    size = max(_PART_SIZE, _LITTLE_WORK // max(1, links.size))
    size = max(_LEAST_PART, min(size, _ROUND_WORK // max(1, links.size)))
    demands, shares_of_cases = _deal(scenarios, weights, size)
    inverse = _inverse(paths.topology.capacities)
    ease = _ease(paths.topology, demands, inverse) if power else np.ones_like(shares_of_cases)
    _descend(
        (demands, shares_of_cases, ease),
        np.float32(power),
        inverse,
        (paths.offsets, slots, paths.first, offsets, links),
        logits,
        iterations,
    )
    return logits


def _inverse(capacities: Floats) -> Singles:
    """Return how much narrower each link is than the widest."""
    inverse: Floats = np.minimum(capacities.max() / capacities, _NARROWEST)
    return inverse.astype(np.float32)


def _ease(topology: Topology, demands: Singles, inverse: Singles) -> Singles:
    """Return 1 over the utilisation `(parts, size)` that no routing falls below, 0 without demand.

    It is that of all links from a node, or to it, as if they were one.
    """
    least = np.zeros((demands.shape[0], demands.shape[2]))
    for ends, pair_ends in zip((topology.sources, topology.targets), topology.pairs, strict=True):
        able = np.bincount(ends, 1.0 / inverse, topology.node_count)
        for node in np.flatnonzero(able):
            least = np.maximum(least, demands[:, pair_ends == node].sum(axis=1) / able[node])
    ease: Floats = np.divide(1.0, least, out=np.zeros_like(least), where=least > 0)
    return ease.astype(np.float32)


def _deal(scenarios: Floats, weights: Floats, size: int) -> tuple[Singles, Singles]:
    """Deal scenarios into parts `(parts, P, size)`, each led by the first, with their weights."""
    rest = len(scenarios) - 1
    parts = max(1, rest // size)
    size = 1 + -(-rest // parts)
    demands = np.zeros((parts, scenarios.shape[1], size), dtype=np.float32)
    dealt = np.zeros((parts, size), dtype=np.float32)
    for part in range(parts):
        own = np.concatenate(([0], np.arange(1 + part, len(scenarios), parts)))
        demands[part, :, : own.size] = scenarios[own].T
        dealt[part, : own.size] = weights[own] / weights[own].sum()
    return demands, dealt


def shares(paths: PathSet, logits: Floats) -> Floats:
    """Return the splits `(paths,)` of logits: softmax per pair."""
    splits = np.empty_like(logits)
    _softmax(paths.first, logits, splits)
    return splits


@numba.njit(nogil=True, cache=True, inline="always")
def _softmax(first: Integers, logits: Floats, splits: Floats) -> None:
    for pair in range(first.size - 1):
        low, high = first[pair], first[pair + 1]
        if low == high:
            continue
        largest = logits[low:high].max()
        for path in range(low, high):
            splits[path] = logits[path] - largest
        # In a loop of its own: compiled with the one above, its last bit would depend on how far
        # apart the two arrays lie in memory.
        total = 0.0
        for path in range(low, high):
            splits[path] = math.exp(splits[path])
            total += splits[path]
        for path in range(low, high):
            splits[path] /= total


@numba.njit(nogil=True, cache=True, fastmath=True)
def _descend(
    cases: tuple[Singles, Singles, Singles],
    power: np.float32,
    inverse: Singles,
    structure: Structure,
    logits: Floats,
    iterations: int,
) -> None:
    demands, weights, ease = cases
    first, links = structure[2], structure[4]
    splits, slope = np.empty(logits.size), np.empty(logits.size)
    mean, square = np.zeros(logits.size), np.zeros(logits.size)
    use = np.zeros(links.size, dtype=np.float32)
    load = np.zeros((inverse.size, demands.shape[2]), dtype=np.float32)
    for turn in range(iterations):
        part = turn % demands.shape[0]
        _softmax(first, logits, splits)
        _spread(splits, inverse, structure, use)
        _carry(demands[part], use, structure, load)
        sharp = _SHARP_FIRST * _SHARP_GROWTH ** (turn / max(1, iterations - 1))
        _weigh(load, weights[part], ease[part], power, np.float32(sharp))
        _push(demands[part], load, inverse, structure, use)
        _slopes(use, splits, structure, slope)
        if not _adam(turn, slope, mean, square, logits):
            return


@numba.njit(nogil=True, cache=True, inline="always")
def _spread(splits: Floats, inverse: Singles, structure: Structure, use: Singles) -> None:
    """Write the utilisation that one unit of each pair's demand puts on each link it may use."""
    path_offsets, slots, _, _, links = structure
    use[:] = 0.0
    for path in range(splits.size):
        for place in range(path_offsets[path], path_offsets[path + 1]):
            use[slots[place]] += splits[path] * inverse[links[slots[place]]]


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _carry(demands: Singles, use: Singles, structure: Structure, load: Singles) -> None:
    """Write the utilisation of every link in every scenario."""
    offsets, links = structure[3], structure[4]
    load[:] = 0.0
    for pair in range(offsets.size - 1):
        demand = demands[pair]
        for slot in range(offsets[pair], offsets[pair + 1]):
            share, row = use[slot], load[links[slot]]
            if share > _NO_SHARE:
                for scenario in range(row.size):
                    row[scenario] += share * demand[scenario]


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _weigh(
    load: Singles, weights: Singles, ease: Singles, power: np.float32, sharp: np.float32
) -> None:
    """Replace utilisations by the gradient of the weighted powers of the smooth maxima."""
    links, scenarios = load.shape
    peak, total = load[0].copy(), np.zeros(scenarios, dtype=np.float32)
    for link in range(1, links):
        for scenario in range(scenarios):
            peak[scenario] = max(peak[scenario], load[link, scenario])
    gain = np.ones(scenarios, dtype=np.float32)
    if power > 0.0:
        for scenario in range(scenarios):
            gain[scenario] = min(peak[scenario] * ease[scenario], _MUCH_WORSE) ** power
    for scenario in range(scenarios):
        peak[scenario] = 1.0 / peak[scenario] if peak[scenario] > 0.0 else 0.0
    for link in range(links):
        row = load[link]
        for scenario in range(scenarios):
            below = sharp * (row[scenario] * peak[scenario] - np.float32(1.0))
            row[scenario] = np.exp(below) if below > _FAR_BELOW else np.float32(0.0)
            total[scenario] += row[scenario]
    for scenario in range(scenarios):
        # A scenario without demand has no peak and no say.
        flat = peak[scenario] == 0.0 or total[scenario] == 0.0
        told = weights[scenario] * gain[scenario]
        total[scenario] = 0.0 if flat else told * peak[scenario] / total[scenario]
    for link in range(links):
        for scenario in range(scenarios):
            load[link, scenario] *= total[scenario]


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _push(
    demands: Singles, load: Singles, inverse: Singles, structure: Structure, use: Singles
) -> None:
    """Write what one more unit of a pair's demand costs on each link it may use."""
    offsets, links = structure[3], structure[4]
    for pair in range(offsets.size - 1):
        demand = demands[pair]
        for slot in range(offsets[pair], offsets[pair + 1]):
            row, cost = load[links[slot]], np.float32(0.0)
            for scenario in range(row.size):
                cost += row[scenario] * demand[scenario]
            use[slot] = cost * inverse[links[slot]]


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _slopes(costs: Singles, splits: Floats, structure: Structure, slope: Floats) -> None:
    """Carry the gradient from links through paths to logits."""
    path_offsets, slots, first = structure[0], structure[1], structure[2]
    for pair in range(first.size - 1):
        average = 0.0
        for path in range(first[pair], first[pair + 1]):
            cost = 0.0
            for place in range(path_offsets[path], path_offsets[path + 1]):
                cost += costs[slots[place]]
            slope[path] = cost
            average += cost * splits[path]
        for path in range(first[pair], first[pair + 1]):
            slope[path] = (slope[path] - average) * splits[path]


@numba.njit(nogil=True, cache=True, fastmath=True, inline="always")
def _adam(turn: int, slope: Floats, mean: Floats, square: Floats, logits: Floats) -> bool:
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
