"""Key routing on QKD networks with diurnal demand, against who knows all and simple rules.

Requests follow `tm` of a traffic file where one is given, busiest node to best-connected node, or
a synthetic day; they are scaled so that the key made carries a part of them. Score: weighted bits
served over the clairvoyant time-expanded optimum.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import numpy as np
from key_networks import KEY_NETWORKS
from scipy.optimize import linprog
from scipy.sparse import csr_array, vstack

from qnx_hw.commands.bench import Result
from qnx_hw.network.key_outlook import look_ahead
from qnx_hw.network.keyflow import (
    BULK,
    CRITICAL,
    WEIGHTS,
    Allocator,
    Grants,
    KeyMap,
    Outlook,
    Pools,
    clairvoyant,
    key_topology,
)
from qnx_hw.network.paths import candidates
from qnx_hw.network.topology import Floats

SLOT_S = 900.0
DAY = 96
# A day and a few slots are known before the judged day begins.
WARM, JUDGED = DAY + 8, DAY
POOL_H = 4.0
CRITICAL_PART = 0.5
GOAL = 0.95
Rule = Callable[[KeyMap, Pools, Floats], Floats]


def key_results(
    traffic: Floats | None = None, *, loads: tuple[float, ...] = (0.99, 0.9, 0.75)
) -> Iterator[Result]:
    """Run every network at every load."""
    for name in KEY_NETWORKS:
        for part in loads:
            yield from _scenario(name, part, traffic)


def scenario(
    name: str, part: float, traffic: Floats | None, seed: int = 5
) -> tuple[KeyMap, Floats, Floats]:
    """Return the key map, requests `(T, C, P)` and key `(T, L)` in bits."""
    joined = KEY_NETWORKS[name]
    names = tuple(dict.fromkeys(end for near, far, _ in joined for end in (near, far)))
    index = {node: place for place, node in enumerate(names)}
    topology = key_topology(names, [(index[near], index[far]) for near, far, _ in joined])
    key_map = KeyMap.of(candidates(topology, most=6))
    rates = np.zeros(key_map.pool_count)
    for link, (_, _, rate) in enumerate(joined):
        rates[key_map.pool_of[link]] = rate
    rng, slots = np.random.default_rng(seed), WARM + JUDGED
    hours = np.arange(slots) * SLOT_S / 3600
    swing = 1 + 0.15 * np.sin(2 * np.pi * (hours[:, None] / 24 + rng.random(rates.size)))
    drift = np.exp(np.cumsum(rng.normal(0, 0.01, (slots, rates.size)), axis=0))
    gains = rates * SLOT_S * swing * drift
    for pool in rng.choice(rates.size, max(1, rates.size // 6), replace=False):
        start = int(rng.integers(WARM, slots - 8))
        gains[start : start + 8, pool] = 0.0  # an outage of two hours
    demand = _requests(topology.node_count, np.bincount(topology.sources), slots, traffic, rng)
    flat = demand[:, topology.pairs[0], topology.pairs[1]]
    # The greatest multiple of the mean demand that the mean key carries is load 1.
    most = _carried(key_map, gains.mean(axis=0), flat.mean(axis=0))
    flat *= most / part
    wanted = np.stack((CRITICAL_PART * flat, (1 - CRITICAL_PART) * flat), axis=1)
    return key_map, wanted, gains


def _requests(
    count: int, degrees: np.ndarray, slots: int, traffic: Floats | None, rng: np.random.Generator
) -> Floats:
    if traffic is None:
        mass = rng.lognormal(0, 0.8, count)
        day = 1 + 0.7 * np.sin(2 * np.pi * np.arange(slots) / DAY)
        noise = rng.lognormal(0, 0.3, (slots, count, count))
        demand = np.outer(mass, mass) * day[:, None, None] * noise
    else:
        busiest = np.argsort(-(traffic.mean(axis=0).sum(axis=0) + traffic.mean(axis=0).sum(axis=1)))
        chosen = busiest[:count]
        place = np.empty(count, dtype=np.int64)
        place[np.argsort(-degrees[:count], kind="stable")[: chosen.size]] = chosen
        demand = np.nan_to_num(traffic[:slots][:, place][:, :, place].astype(np.float64))
    demand[:, np.arange(count), np.arange(count)] = 0.0
    return demand


def _carried(key_map: KeyMap, gain: Floats, mean: Floats) -> float:
    paths = key_map.paths
    columns = np.arange(len(paths))
    ask = csr_array((np.ones(len(paths)), (paths.pair_of, columns)), shape=(mean.size, len(paths)))
    cost = np.zeros(len(paths) + 1)
    cost[-1] = -1.0
    equal = csr_array(np.concatenate((ask.toarray(), -mean[:, None]), axis=1))
    upper = csr_array(np.concatenate((key_map.draws.T.toarray(), np.zeros((gain.size, 1))), axis=1))
    result = linprog(cost, upper, gain, equal, np.zeros(mean.size), method="highs")
    return float(result.x[-1])


def _scenario(name: str, part: float, traffic: Floats | None) -> Iterator[Result]:
    key_map, wanted, gains = scenario(name, part, traffic)
    capacity = gains.mean(axis=0) / SLOT_S * POOL_H * 3600
    begin = Pools(capacity / 2, capacity)
    judged = Outlook(wanted[WARM:], gains[WARM:])
    best = clairvoyant(key_map, begin, judged)
    started = time.process_time()
    served = _played(key_map, wanted, gains, begin, None)
    taken = (time.process_time() - started) / JUDGED
    ours = float((served.sum(axis=(0, 2)) * WEIGHTS).sum()) / best
    blocked = _blocked(served, judged.wanted)
    label = f"key, {name}, mean key carries {part:.0%}"
    peers: dict[str, tuple[float, float]] = {}
    for rule_name, rule in RULES.items():
        other = _played(key_map, wanted, gains, begin, rule)
        value = float((other.sum(axis=(0, 2)) * WEIGHTS).sum()) / best
        peers[rule_name] = (value, _blocked(other, judged.wanted))
    peer = max(peers, key=lambda each: peers[each][0])
    yield Result(
        name=f"{label}: weighted served",
        value=ours,
        unit="of best",
        goal=GOAL,
        met=ours >= GOAL,
        peer=peer,
        peer_value=peers[peer][0],
        ratio=ours / peers[peer][0],
    )
    least = min(peers, key=lambda each: peers[each][1])
    yield Result(
        name=f"{label}: critical blocked",
        value=blocked,
        unit="part",
        goal=peers[least][1],
        met=blocked <= peers[least][1] + 1e-9,
        peer=least,
        peer_value=peers[least][1],
    )
    yield Result(name=f"{label}: CPU a slot", value=taken * 1e3, unit="ms")


def _blocked(served: Floats, wanted: Floats) -> float:
    asked = wanted[:, CRITICAL].sum()
    return float(max(0.0, 1 - served[:, CRITICAL].sum() / asked)) if asked else 0.0


def _played(
    key_map: KeyMap, wanted: Floats, gains: Floats, pools: Pools, rule: Rule | None
) -> Floats:
    """Return what was served `(T, C, P)` in the judged part; only the past is known."""
    served, allocator = [], Allocator(key_map)
    for slot in range(WARM, len(wanted)):
        if rule is None:
            ahead = look_ahead(wanted[:slot], gains[:slot], wanted[slot], season=DAY, horizon=DAY)
            grants = allocator.allocate(pools, ahead)
        else:
            grants = Grants(rule(key_map, pools, wanted[slot]), np.zeros(key_map.pool_count))
        served.append(grants.served(key_map))
        pools = pools.after(grants.used(key_map), gains[slot])
    return np.stack(served)


def _greedy(
    key_map: KeyMap,
    pools: Pools,
    wanted: Floats,
    order: Callable[[int, Floats], list[int]],
    floor: Floats,
) -> Floats:
    """Serve pair by pair, critical first; bulk leaves `floor` in the pools."""
    flows, left = np.zeros((2, len(key_map.paths))), pools.stock.copy()
    for c in (CRITICAL, BULK):
        for pair in np.flatnonzero(wanted[c] > 0):
            rest = wanted[c, pair]
            for path in order(int(pair), left):
                links = key_map.draws.indices[
                    key_map.draws.indptr[path] : key_map.draws.indptr[path + 1]
                ]
                keep = floor[links] if c == BULK else 0.0
                give = min(rest, max(0.0, float((left[links] - keep).min())))
                flows[c, path] += give
                left[links] -= give
                rest -= give
    return flows


def _shortest(key_map: KeyMap, pools: Pools, wanted: Floats) -> Floats:
    def order(pair: int, left: Floats) -> list[int]:
        return [int(key_map.paths.first[pair])]

    return _greedy(key_map, pools, wanted, order, np.zeros_like(pools.stock))


def _by_width(key_map: KeyMap) -> Callable[[int, Floats], list[int]]:
    def order(pair: int, left: Floats) -> list[int]:
        own = range(int(key_map.paths.first[pair]), int(key_map.paths.first[pair + 1]))
        draws = key_map.draws
        width = {p: left[draws.indices[draws.indptr[p] : draws.indptr[p + 1]]].min() for p in own}
        return sorted(own, key=lambda path: -width[path])[:1]

    return order


def _widest(key_map: KeyMap, pools: Pools, wanted: Floats) -> Floats:
    return _greedy(key_map, pools, wanted, _by_width(key_map), np.zeros_like(pools.stock))


def _threshold(key_map: KeyMap, pools: Pools, wanted: Floats) -> Floats:
    """Bulk stops where a pool is below a fifth."""
    return _greedy(key_map, pools, wanted, _by_width(key_map), 0.2 * pools.capacity)


def _myopic(key_map: KeyMap, pools: Pools, wanted: Floats) -> Floats:
    """This slot's best flows, each link's bit priced by how empty its pool is."""
    water = 1 - pools.stock / pools.capacity
    worth = np.concatenate([w - key_map.draws @ water for w in WEIGHTS])
    paths, pairs = len(key_map.paths), wanted.shape[1]
    columns = np.arange(2 * paths)
    rows = np.concatenate((key_map.paths.pair_of, key_map.paths.pair_of + pairs))
    ask = csr_array((np.ones(2 * paths), (rows, columns)), shape=(2 * pairs, 2 * paths))
    draw = csr_array(np.concatenate((key_map.draws.T.toarray(),) * 2, axis=1))
    limits = np.concatenate((wanted.reshape(-1), pools.stock))
    result = linprog(-worth, vstack([ask, draw]), limits, method="highs")
    return np.asarray(result.x).reshape(2, paths)


RULES: dict[str, Rule] = {
    "shortest path": _shortest,
    "widest by stock": _widest,
    "stock threshold": _threshold,
    "myopic LP": _myopic,
}
