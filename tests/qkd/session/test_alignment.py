"""Keys while a loop turns Bob's paddles by nothing but what the blocks disclose."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import pytest
from bench_sessions import example, settings, tag_blocks

from qnx_hw.api.loops import ActuatorAxis, LoopState
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.control.polarization import Measurement, actuator_of, make
from qnx_hw.instruments.values import AxisKind, AxisRange, PolarizationCapabilities
from qnx_hw.qkd.roles import Role
from qnx_hw.qkd.session import BlockStarted, Progress
from sim_devices.physics.bench import Bench
from sim_devices.physics.station import BenchStation

PADDLE = AxisRange(AxisKind.PADDLE_ANGLE, "deg", 0.0, 170.0, 0.1, speed_per_s=400.0)
MODEL = actuator_of(PolarizationCapabilities((PADDLE,) * 3, 0.05, 5.0, True, True))

pytestmark = pytest.mark.slow


class Paddles(Actuation):
    """The bench's own paddles."""

    def __init__(self, station: BenchStation) -> None:
        self._station = station

    def axes(self) -> tuple[ActuatorAxis, ...]:
        return tuple(ActuatorAxis(name=f"{n}", unit="deg", low=0, high=170) for n in (1, 2, 3))

    def positions(self) -> tuple[float, ...]:
        return self._station.paddles_deg

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        for paddle, value in enumerate(values, start=1):
            self._station.set_paddle(paddle, value)
        return self.positions()

    def make_safe(self) -> None:
        return


def _table(**bob: Any) -> dict[str, Any]:
    table = example("demo.toml")
    table["bench"]["sources"]["spdc"]["pair_rate_hz"] = 300_000.0
    for name in ("alice", "bob"):
        table["bench"]["stations"][name]["drift_rad_per_sqrt_s"] = 0.0
    table["bench"]["stations"]["bob"] |= bob
    table["links"]["alice-bob"]["block_sifted_bits"] = 12_000
    return table


def _run(
    harness: ModuleType, table: dict[str, Any], seconds: float, target: float | None
) -> tuple[Any, Loop[Measurement] | None]:
    """Feed two sessions from the bench; with a target, a loop looks at every judged block."""
    bench = Bench.from_network(table)
    parameters, stations = settings(table)
    pair = harness.Pair(parameters, stations=stations).start()
    loop = None
    if target is not None:
        loop = Loop(
            Title("alice-bob polarization", "bob", "alice-bob", "polarization"),
            Paddles(bench.station("bob")),
            lambda algorithm, wanted: make(algorithm, MODEL, target=wanted),
            algorithms=("model",),
            target=target,
        )
    looked, begun_after = 0, 0
    feeds = (tag_blocks(bench, name, seconds) for name in ("alice", "bob"))
    for alice, bob in zip(*feeds, strict=True):
        pair.feed([alice], [bob])
        told = pair.of(Role.BOB, Progress)
        block = told[-1].metrics.judged_block if told else 0
        if loop is None or block <= max(looked, begun_after):
            continue
        looked = block
        metrics = told[-1].metrics
        if loop.observe(
            lambda values, seen=metrics: Measurement.of_matrix(
                seen.matrix, values, near_is_rows=False, tested=seen.tested
            )
        ):
            begun_after = max(started.block for started in pair.of(Role.BOB, BlockStarted))
    return pair, loop


def test_keys_of_a_still_fibre_are_the_same_with_and_without_control(bench: ModuleType) -> None:
    without, _ = _run(bench, _table(), 4.0, None)
    controlled, loop = _run(bench, _table(), 4.0, 0.05)

    assert len(without.keys(Role.BOB)) >= 2
    assert controlled.keys(Role.BOB) == without.keys(Role.BOB)
    assert controlled.said == without.said
    assert loop is not None
    assert loop.view.residual.value is not None
    assert loop.view.settings_used == 0


def test_key_generation_resumes_by_itself_after_a_knock(bench: ModuleType) -> None:
    knocked = _table(knock_at_s=3.5, knock_rad=np.pi / 2)

    without, _ = _run(bench, knocked, 6.5, None)
    controlled, loop = _run(bench, knocked, 12.0, 0.0)

    lost = max(without.keys(Role.BOB)) + 1
    assert without.metrics(Role.BOB).judged_block > lost
    assert loop is not None
    assert loop.view.state is LoopState.TRACKING
    done = controlled.keys(Role.BOB)
    assert max(done) > lost + 2
    assert controlled.metrics(Role.BOB).qber.value < 0.05
