"""Routing: score against simple and published rules, replanning time, scale, and scarce key.

Run `QNX_TRAFFIC=RECORD:RECORD qnx bench routing`, or `python benchmarks/routing.py RECORD...`;
without any a synthetic week of a made-up network is used. A record is `FILE.npz`, or several files
of one network in order of time, `ONE.npz+TWO.npz`, each with an optional `@FIRST-STOP` at the end:
the steps of the last file to be judged. Scores are the largest utilisation over the clairvoyant
optimum of unrestricted flow, with only the past visible; all rules see the same steps. Without
`@FIRST-STOP` the last third is judged, at most `MOST_STEPS`.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent))

from routing_dote import HISTORY, Dote
from routing_failover import failover_results
from routing_hierarchy import hierarchy_results, plane
from routing_hosts import hosts_results
from routing_keys import key_results
from routing_live import live_results

from qnx_hw.commands.bench import Result
from qnx_hw.commands.traffic_file import read
from qnx_hw.network import Planner, Topology, programmes
from qnx_hw.network.evaluation import Score
from qnx_hw.network.forecast import LAGS, Fit, train
from qnx_hw.network.paths import PathSet, candidates, pack
from qnx_hw.network.planner import utilisation
from qnx_hw.network.topology import Floats

MOST_STEPS = int(os.environ.get("QNX_STEPS", "300"))
# Mean and p99 to reach, by what a file's name begins with.
GOALS = {"abilene": (1.02, 1.11), "geant": (1.08, 1.45), "facebook": (1.17, 1.60)}
CPU_GOAL_MS, CUT_GOAL_S = 100.0, 1.0
CAPACITIES = (2.5e3, 1e4, 4e4)
_Rule = Callable[[Floats, int], Floats]
"""From the past demands `(T, P)` and the step to splits over the candidate paths."""


def suite() -> Iterator[Result]:
    """Run everything."""
    return chain.from_iterable(part() for part in PARTS.values())


def scores() -> Iterator[Result]:
    """Score every record beside other rules."""
    named = [each for each in os.environ.get("QNX_TRAFFIC", "").split(os.pathsep) if each]
    for name, topology, matrices, steps in map(_record, named or [""]):
        yield from _scores(name, topology, matrices, steps)
        yield _cut(name, topology, matrices)


def _record(told: str) -> tuple[str, Topology, Floats, range]:
    """Return a record's name, network, traffic, and the steps to be judged."""
    files, _, span = told.partition("@")
    if not files:
        name, parts = "synthetic", [_synthetic()]
    else:
        paths = [Path(each) for each in files.split("+")]
        records = map(read, paths)
        name, parts = paths[-1].stem, [(each.topology, each.matrices) for each in records]
    topology, newest = parts[-1]
    matrices = np.concatenate([of_file for _, of_file in parts])
    before = len(matrices) - len(newest)
    if span:
        first, stop = (before + int(step) for step in span.split("-"))
    else:
        stop = len(matrices)
        first = max(stop - len(newest) // 3, stop - MOST_STEPS)
    return name, topology, matrices, range(first, stop)


def _synthetic(steps: int = 600) -> tuple[Topology, Floats]:
    rng = np.random.default_rng(4)
    topology = plane(14, np.random.default_rng(4), CAPACITIES)
    mass = rng.lognormal(0, 0.8, topology.node_count)
    day = 1 + 0.6 * np.sin(2 * np.pi * np.arange(steps) / 96)
    noise = np.exp(np.cumsum(rng.normal(0, 0.08, (steps, 14, 14)), axis=0) * 0.3)
    return topology, np.outer(mass, mass) * 300 * day[:, None, None] * noise


def _scores(name: str, topology: Topology, matrices: Floats, steps: range) -> Iterator[Result]:
    best = np.array([programmes.least_utilisation(topology, matrices[t]) for t in steps])
    demands = topology.demands(matrices)
    planner, plan, ours, taken = Planner(topology), None, [], []
    planner.decide(matrices[:1])
    for step in steps:
        started = time.process_time()
        plan = planner.decide(matrices[max(0, step - 1024) : step], plan)
        taken.append(time.process_time() - started)
        ours.append(plan.loads(demands[step]).max())
    score = Score.of(np.array(ours) / best)
    peers = {}
    for rule_name, (paths, rule) in _rules(topology, planner.paths, demands[: steps.start]).items():
        loads = [utilisation(paths, rule(demands[:t], t), demands[t]).max() for t in steps]
        peers[rule_name] = Score.of(np.array(loads) / best)
    goals = next((goal for start, goal in GOALS.items() if name.startswith(start)), (None, None))
    for word, goal in zip(("mean", "p99"), goals, strict=True):
        value = getattr(score, word)
        peer = min(peers, key=lambda each: getattr(peers[each], word))
        yield Result(
            name=f"{name}: {word} score over {score.steps} steps",
            value=value,
            unit="of best",
            goal=goal,
            met=None if goal is None else value <= goal,
            peer=peer,
            peer_value=getattr(peers[peer], word),
            ratio=value / getattr(peers[peer], word),
        )
    for rule_name, other in peers.items():
        yield Result(name=f"{name}: {rule_name}, mean", value=other.mean, unit="of best")
        yield Result(name=f"{name}: {rule_name}, p99", value=other.p99, unit="of best")
    cpu_ms = float(np.mean(taken) * 1e3)
    yield Result(
        name=f"{name}: CPU a decision ({topology.node_count} nodes)",
        value=cpu_ms,
        unit="ms",
        goal=CPU_GOAL_MS,
        met=cpu_ms <= CPU_GOAL_MS,
    )


def _rules(
    topology: Topology, paths: PathSet, training: Floats
) -> dict[str, tuple[PathSet, _Rule]]:
    oblivious = _oblivious_paths(topology)
    hops = _ecmp(topology, np.ones(topology.link_count))
    inverse = _ecmp(topology, topology.capacities.max() / topology.capacities)
    fit = train(training[-1024:])

    def last(past: Floats, _: int) -> Floats:
        return programmes.best_splits(paths, past[-1])[1]

    def smore(past: Floats, _: int) -> Floats:
        return programmes.best_splits(oblivious, past[-1])[1]

    def mean(past: Floats, _: int) -> Floats:
        memory = 0.5 ** np.arange(12)
        recent = past[-12:][::-1]
        weights = memory[: len(recent)] / memory[: len(recent)].sum()
        return programmes.best_splits(paths, weights @ recent)[1]

    def forecast(past: Floats, _: int) -> Floats:
        return programmes.best_splits(paths, _ridge(fit, past))[1]

    rules: dict[str, tuple[PathSet, _Rule]] = {
        "shortest path": (paths, lambda past, step: _single(paths)),
        "ECMP, hops": (hops[0], lambda past, step: hops[1]),
        "ECMP, inverse capacity": (inverse[0], lambda past, step: inverse[1]),
        "LP on the last matrix": (paths, last),
        "LP on the weighted mean": (paths, mean),
        "SMORE-like": (oblivious, smore),
    }
    if fit is not None:
        rules["LP on ridge forecast"] = (paths, forecast)
    if len(training) > 2 * HISTORY and paths.has_path.all():
        network = Dote.trained(paths, training)
        rules["DOTE-style network"] = (paths, lambda past, step: network.splits(past))
    return rules


def _ridge(fit: Fit | None, past: Floats) -> Floats:
    assert fit is not None
    lags = past[-LAGS:][::-1]
    scaled = fit.weights @ ((lags - fit.means) / fit.scales)
    return np.maximum(fit.means + fit.scales * scaled, 0.0)


def _single(paths: PathSet) -> Floats:
    splits = np.zeros(len(paths))
    splits[paths.first[:-1]] = 1.0
    return splits


def _ecmp(topology: Topology, weights: Floats) -> tuple[PathSet, Floats]:
    """Split evenly at each node over the next hops of all shortest paths."""
    weighed = Topology(
        topology.names, topology.sources, topology.targets, topology.capacities, weights
    )
    paths = candidates(weighed, most=30)
    lengths = paths.incidence @ weights
    splits = np.zeros(len(paths))
    for pair in range(paths.first.size - 1):
        own = np.arange(paths.first[pair], paths.first[pair + 1])
        short = own[lengths[own] <= lengths[own].min() * (1 + 1e-9)]
        ways = [tuple(paths.links_of(path)) for path in short]
        for path, way in zip(short, ways, strict=True):
            share = 1.0
            for place in range(len(way)):
                # Equal shares over the different next links after the same beginning.
                share /= len({w[place] for w in ways if w[:place] == way[:place]})
            splits[path] = share
    return PathSet(topology, paths.offsets, paths.links, paths.first), splits


def _oblivious_paths(topology: Topology, rounds: int = 12, seed: int = 6) -> PathSet:
    """Paths of shortest-path routings under weights that grow where earlier rounds put load.

    The multiplicative-weights loop of oblivious routing (Räcke 2008) over shortest paths under
    jittered lengths instead of random trees; SMORE (Kumar et al., NSDI 2018) then fits rates on
    such paths.
    """
    weights = 1.0 / topology.capacities
    rng = np.random.default_rng(seed)
    found: list[dict[tuple[int, ...], None]] = [{} for _ in topology.pairs[0]]
    for _ in range(rounds):
        weighed = Topology(
            topology.names,
            topology.sources,
            topology.targets,
            topology.capacities,
            weights / weights.min() * (1 + rng.exponential(size=weights.size)),
        )
        paths = candidates(weighed, most=2)
        load = np.zeros(topology.link_count)
        lengths = paths.incidence @ weighed.weights
        for pair in range(paths.first.size - 1):
            own = np.arange(paths.first[pair], paths.first[pair + 1])
            links = paths.links_of(int(own[np.argmin(lengths[own])]))
            found[pair][tuple(links.tolist())] = None
            load[links] += 1.0
        relative = load / topology.capacities
        weights = weights * np.exp(relative / relative.max())
    return pack(topology, found)


def _cut(name: str, topology: Topology, matrices: Floats) -> Result:
    """Time from a cut of the fullest link to the new plan."""
    planner = Planner(topology)
    plan = planner.decide(matrices[-80:])
    link = int(np.argmax(plan.loads(topology.demands(matrices[-1]))))
    ends = (topology.sources[link], topology.targets[link])
    back = (topology.sources == ends[1]) & (topology.targets == ends[0])
    cut = frozenset({link, *np.flatnonzero(back).tolist()})
    started = time.perf_counter()
    around, left = planner.avoiding(cut, plan)
    around.decide(matrices[-80:], left)
    taken = time.perf_counter() - started
    return Result(
        name=f"{name}: new plan after a cut",
        value=taken,
        unit="s",
        goal=CUT_GOAL_S,
        met=taken <= CUT_GOAL_S,
    )


def _scale(sizes: tuple[int, ...] = (50, 100, 200)) -> Iterator[Result]:
    for count in sizes:
        topology = plane(count, np.random.default_rng(1), CAPACITIES)
        rng = np.random.default_rng(2)
        mass = rng.lognormal(0, 1, count)
        matrices = np.outer(mass, mass) * 10 * rng.lognormal(0, 0.3, (66, count, count))
        started = time.process_time()
        planner = Planner(topology)
        paths_s = time.process_time() - started
        plan = planner.decide(matrices[:64])
        started = time.process_time()
        planner.decide(matrices[:65], plan)
        yield Result(name=f"{count} nodes: paths, once", value=paths_s, unit="s CPU")
        yield Result(
            name=f"{count} nodes: a plan", value=time.process_time() - started, unit="s CPU"
        )


PARTS = {
    "scores": scores,
    "scale": _scale,
    "hierarchy": hierarchy_results,
    "keys": partial(key_results, None, loads=(0.9, 0.75)),
    "live": live_results,
    "hosts": hosts_results,
    "failover": failover_results,
}


def main() -> None:
    """Print one line per result."""
    os.environ["QNX_TRAFFIC"] = os.pathsep.join(sys.argv[1:])
    for result in suite():
        print(f"{result.name:70} {result.value:10.4f} {result.unit:8} {result.met} {result.peer}")


if __name__ == "__main__":
    main()
