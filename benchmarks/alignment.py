"""Polarization alignment: random fibres per kind of actuator, drift, a jump, a day of key.

Run `qnx bench alignment`, or `--part plates` and so on for parts of it; with other fibres
`python benchmarks/alignment.py PART FIBRES FIRST`. Every number is with shot noise; "settings" are
measurements taken before the light is within +0.5 % of the best error rate that the actuator can
give. Model-free peers run on the same fibres, each with the gain or step that served it best on
other fibres, for each kind of actuator and for the drift.
"""

from __future__ import annotations

import math
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from alignment_peers import PEERS, searched, tuned
from alignment_runs import VISIBILITY, until
from alignment_tracking import tracking
from knock import knocked

from qnx_hw.commands.bench import Result
from qnx_hw.control.polarization import Actuator, ModelBased
from qnx_hw.control.polarization.rehearsal import Rehearsal
from qnx_hw.control.polarization.rotations import Real, turn
from qnx_hw.control.polarization.usual import KINDS, usual

FIBRES = 100
LONGEST_MODEL = 12
LONGEST_SEARCH = 600
DARKEST = (1 - VISIBILITY) / 2


class Table(NamedTuple):
    """One way to start from a random fibre, and which share has to be there after how many."""

    name: str
    counts: int
    wrong: bool
    within: int
    goal: float


TABLES = (
    Table("1000 coincidences", 1000, False, 3, 0.99),
    Table("200 coincidences", 200, False, 6, 0.95),
    Table("1000 coincidences, wrong elements", 1000, True, 6, 0.95),
)


def suite() -> Iterator[Result]:
    """Run everything."""
    for part in PARTS.values():
        yield from part()


def _of(kind: str, fibres: int = FIBRES, first: int = 0) -> Iterator[Result]:
    """One kind of actuator, beside the peers on the same fibres."""
    actuator, seeds = usual(kind), range(first, first + fibres)
    taken = [_settings(actuator, seeds, each.counts, wrong=each.wrong) for each in TABLES]
    for table, settings in zip(TABLES, taken, strict=True):
        yield from _acquired(kind, table, settings)
    yield from _beside_peers(kind, actuator, seeds, taken[0])


def _acquired(kind: str, table: Table, taken: Real) -> Iterator[Result]:
    name, within, goal = table.name, table.within, table.goal
    share = float((taken <= within).mean())
    yield Result(
        name=f"{kind}, {name}: fibres within {within} settings",
        value=share,
        unit="part",
        goal=goal,
        met=share >= goal,
    )
    for quantile, word in ((0.5, "median"), (0.95, "p95")):
        value = float(np.quantile(taken, quantile))
        yield Result(name=f"{kind}, {name}: settings, {word}", value=value, unit="settings")


def _settings(actuator: Actuator, seeds: range, counts: float, *, wrong: bool) -> Real:
    taken = []
    for seed in seeds:
        rng = np.random.default_rng(seed)
        errors = _errors(actuator, rng) if wrong else None
        fibre = Rehearsal(actuator, rng, visibility=VISIBILITY, errors=errors)
        taken.append(until(fibre, ModelBased(actuator), counts, LONGEST_MODEL))
    return np.array(taken)


def _errors(actuator: Actuator, rng: np.random.Generator) -> Real:
    """Plates are wrong by 5 degrees of retardance, 1 of angle; others by 3 % and 0.1 rad."""
    rotating = actuator.axes[0].unit == "deg"
    sizes = np.deg2rad([5.0, 2.0]) if rotating else np.array([0.03, 0.1])
    return rng.standard_normal((len(actuator.axes), 2)) * sizes


def _beside_peers(kind: str, actuator: Actuator, seeds: range, ours: Real) -> Iterator[Result]:
    for name, choices in PEERS.items():
        taken = searched(actuator, tuned(actuator, choices), seeds, LONGEST_SEARCH)
        for quantile, word in ((0.5, "median"), (0.95, "p95")):
            our_value = float(np.quantile(ours, quantile))
            value = float(min(np.quantile(taken, quantile), LONGEST_SEARCH))
            yield Result(
                name=f"{kind}, 1000 coincidences: settings, {word}",
                value=our_value,
                unit="settings",
                peer=name,
                peer_value=value,
                ratio=our_value / value if value else None,
            )
        failed = float(np.mean(taken > LONGEST_SEARCH))
        yield Result(name=f"{kind}: {name} not there after 600", value=failed, unit="part")


def _recovery(fibres: int = FIBRES, first: int = 0) -> Iterator[Result]:
    """A jump by 90 degrees about a random axis, a second for each setting, and the real speed."""
    for kind in ("paddles", "plates"):
        actuator = usual(kind)
        spans = [_jumped(actuator, seed) for seed in range(first, first + fibres)]
        for quantile, word in ((0.5, "median"), (0.95, "p95")):
            value = float(np.quantile(spans, quantile))
            is_goal = kind == "paddles"
            yield Result(
                name=f"{kind}: recovery from a 90 degree jump, {word}",
                value=value,
                unit="s",
                goal=20.0 if is_goal else None,
                met=value < 20.0 if is_goal else None,
                peer="coordinate descent on 50 km (printed)",
                peer_value=34.6,
                ratio=value / 34.6,
            )


def _jumped(actuator: Actuator, seed: int) -> float:
    rng = np.random.default_rng(seed)
    fibre = Rehearsal(actuator, rng, visibility=VISIBILITY)
    policy = ModelBased(actuator)
    until(fibre, policy, 5000, LONGEST_MODEL)
    for _ in range(5):
        decision = policy.observe(fibre.measure(1000))
        if decision.move_to is not None:
            fibre.move(decision.move_to)
    axis = rng.standard_normal(3)
    fibre.fibre = turn(np.pi / 2 * axis / np.linalg.norm(axis)) @ fibre.fibre
    fibre.moved_s = 0.0
    settings = until(fibre, policy, 1000, 30)
    return settings + fibre.moved_s


def _day(fibres: int = 1, first: int = 1) -> Iterator[Result]:
    """24 h of buried fibre, 3e-4 rad/√s, a block of 100 000 sifted bits each 10 s, paddles.

    The loss is that of the asymptotic key rate 1 − 2.1 h(Q) against a perfect setting.
    """
    actuator = usual("paddles")
    for seed in range(first, first + fibres):
        fibre = Rehearsal(actuator, np.random.default_rng(seed), visibility=VISIBILITY)
        policy = ModelBased(actuator)
        made = possible = 0.0
        for _ in range(24 * 360):
            decision = policy.observe(fibre.measure(110_000))
            if decision.move_to is not None:
                fibre.move(decision.move_to)
            made += _rate(DARKEST + fibre.excess)
            possible += _rate(DARKEST)
            fibre.drift(3e-4 * np.sqrt(10.0), wander=10.0)
        lost = 100 * (1 - made / possible)
        yield Result(
            name="paddles, 24 simulated hours of buried fibre: key lost to alignment",
            value=lost,
            unit="%",
            goal=1.0,
            met=lost <= 1.0,
        )


def _knock(fibres: int = 1, first: int = 0) -> Iterator[Result]:
    """Knock a fibre by 90 degrees during BBM92, with programs of their own on every side."""
    for _ in range(fibres):
        with tempfile.TemporaryDirectory() as folder:
            cost = knocked(math.pi / 2, Path(folder))
        load = os.getloadavg()[0]
        words = f"knock of 90 degrees during BBM92 over the wires (load {load:.0f})"
        yield Result(name=f"{words}: time to the next key", value=cost.next_key_s, unit="s")
        yield Result(name=f"{words}: key lost", value=cost.lost_bits, unit="bit")
        yield Result(name=f"{words}: blocks given up", value=cost.blocks_given_up, unit="blocks")
        yield Result(name=f"{words}: settings", value=cost.settings, unit="settings")


def _rate(qber: float) -> float:
    if qber >= 0.1:
        return 0.0
    entropy = -qber * np.log2(qber) - (1 - qber) * np.log2(1 - qber)
    return float(max(0.0, 1 - 2.1 * entropy))


PARTS: dict[str, Callable[..., Iterator[Result]]] = {
    **{kind: partial(_of, kind) for kind in KINDS},
    "tracking": tracking,
    "recovery": _recovery,
    "day": _day,
    "knock": _knock,
}

if __name__ == "__main__":
    part, *numbers = sys.argv[1:]
    for result in PARTS[part](*map(int, numbers)):
        print(result, flush=True)
