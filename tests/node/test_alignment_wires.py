"""Every kind of controller aligns the bench's own light, over its own wire."""

from __future__ import annotations

import asyncio
import json
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import pytest
from mounting import mounted
from replaying import assert_replayed

from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.cli import main
from qnx_hw.config.alignment import AlignmentSection
from qnx_hw.control import decision_log
from qnx_hw.control.loop import Title
from qnx_hw.node.alignment import Alignment
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import LoopRunner
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import Metrics
from sim_devices.physics.bench import Bench
from sim_devices.physics.polarization import BELL_KETS, click_probabilities, werner
from sim_devices.serve import _make

PAIR = werner(BELL_KETS["phi+"], 0.97)
SPAN = (0, 10_000_000_000)
ONE_BY_ONE = tuple({"axis": axis} for axis in (1, 2, 3))
CONTROLLERS = {
    "paddles": ("mpc320", "mpc320", "", ({},)),
    "three mounts on a bus": ("ell14", "ellbus", "?addresses=012", ({"addresses": "012"},)),
    "three mounts on three wires": ("ell14", "ell14", "", ONE_BY_ONE),
    "three rotators on three wires": ("kdc101", "k10cr1", "", ONE_BY_ONE),
    "squeezers": ("epc400", "epc400", "", ({},)),
    "three crystals": ("lcc25", "lcc25", "", ONE_BY_ONE),
}


def _bench() -> Bench:
    station = {"rotation": "random", "efficiency": 1.0}
    return Bench.from_network({"bench": {"seed": 4, "stations": {"alice": {}, "bob": station}}})


def _mounted(bench: Bench, name: str) -> AbstractContextManager[list[Mounted]]:
    """Serve the emulators of a controller in front of Bob, and mount their drivers."""
    driver, kind, query, each = CONTROLLERS[name]
    emulators = [(driver, _make(kind, bench.station("bob"), options, None)) for options in each]
    # Rotators turn by 10 degrees a second, and a fibre may want half a turn.
    return mounted("bob", emulators, query=query, pace=10.0 if driver == "kdc101" else 1.0)


def _judged(bench: Bench, rng: np.random.Generator) -> Judged:
    """Return a block of some 4000 coincidences as the bench's optics stand."""
    effects = [bench.station(name).begin(SPAN).effects[:-1] for name in ("alice", "bob")]
    counts = rng.poisson(4000 * click_probabilities(PAIR, *effects) / 0.36)
    matrix = tuple(tuple(int(count) for count in row) for row in counts)
    tested = int(counts[:2, :2].sum()), int(counts[2:, 2:].sum())
    return Judged(1, np.inf, Metrics(matrix=matrix, tested=tested))


def _error_rate(bench: Bench) -> float:
    effects = [bench.station(name).begin(SPAN).effects[:-1] for name in ("alice", "bob")]
    p = click_probabilities(PAIR, *effects)
    wrong = p[0, 1] + p[1, 0] + p[2, 3] + p[3, 2]
    return float(wrong / (p[:2, :2].sum() + p[2:, 2:].sum()))


@pytest.mark.slow
@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_random_fibre_is_aligned_over_the_wire(name: str, tmp_path: Path) -> None:
    bench, rng = _bench(), np.random.default_rng(8)
    title = Title("alice-bob polarization", "bob", "alice-bob", "polarization")
    kind = Alignment(title, Role.BOB, AlignmentSection(), ("parts",), tmp_path)
    before = _error_rate(bench)

    async def scene(parts: list[Mounted]) -> tuple[LoopView, float]:
        runner = LoopRunner(kind, lambda *_: None)
        async with asyncio.timeout(120):
            loop = await runner.open(parts)
            for _ in range(5):
                runner.judged(_judged(bench, rng))
                await runner.look(loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        return runner.seat.view(), _error_rate(bench)

    with _mounted(bench, name) as parts:
        view, after = asyncio.run(scene(parts))

    assert before > 0.1
    assert after < 0.022
    assert view.state is LoopState.TRACKING
    rows = list(decision_log.read(tmp_path))
    assert all(len(row.values) == len(view.axes) for row in rows)
    assert_replayed(tmp_path, least=5)
    if name == "paddles":
        _assert_replayed(rows, tmp_path)


def _assert_replayed(rows: list[decision_log.Logged], folder: Path) -> None:
    """What the loop wrote down while it ran leads `qnx align replay` to the same decisions."""
    out = folder / "steps.json"
    assert main(["align", "replay", str(folder), "--json", str(out)]) == 0
    steps = json.loads(out.read_text())
    assert [step["state"] for step in steps] == [row.decision.state.value for row in rows]
    assert not any("another move" in step["reason"] for step in steps)
