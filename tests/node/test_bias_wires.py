"""Climbs of biases and comparators with the bench's own light, over the detectors' own wires."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
from mounting import mounted
from replaying import assert_replayed

from qnx_hw.api.loops import LoopView
from qnx_hw.api.value import Estimate
from qnx_hw.config.loops import BiasSection, ThresholdsSection
from qnx_hw.control.loop import Title
from qnx_hw.instruments.families import PhotonDetector
from qnx_hw.node.bank import Mounted
from qnx_hw.node.bias_loop import BiasLoop, ThresholdsLoop
from qnx_hw.node.judged import Judged
from qnx_hw.node.key_merit import merit_of
from qnx_hw.node.loop_runner import LoopRunner, NodeLoop
from qnx_hw.qkd.session import Metrics
from sim_devices.physics.bench import Bench
from sim_devices.physics.polarization import BELL_KETS, click_probabilities, werner
from sim_devices.serve import _make

TITLE = Title("alice-bob bob bias", "bob", "alice-bob", "bias", "detectors")
INPUTS = (1, 2, 3, 4)
PAIR = werner(BELL_KETS["phi+"], 0.98)
SPAN = (0, 10_000_000_000)
BLOCK_S = 10.0
LOOKS = 20


class Bank(NamedTuple):
    """Detectors, the loop that climbs, and how it begins."""

    driver: str
    query: str
    options: tuple[dict[str, object], ...]
    loop: Callable[[Path], NodeLoop]
    begin: Callable[[PhotonDetector, int], float]
    limits: tuple[float, float]


def _biases(**limits: float) -> Callable[[Path], NodeLoop]:
    section = BiasSection(algorithm="climb", **limits)
    return lambda log: BiasLoop(TITLE, section, INPUTS, lambda: (4e4,) * 4, log)


def _levels(**limits: float) -> Callable[[Path], NodeLoop]:
    section = ThresholdsSection(**limits)
    return lambda log: ThresholdsLoop(TITLE, section, INPUTS, log)


EACH = tuple({"detector": number} for number in INPUTS)
BANKS = {
    "nanowires": Bank(
        "websq",
        "",
        ({},),
        _biases(low=10e-6, high=24e-6, step=2e-6),
        lambda detector, channel: detector.set_bias(channel, 14e-6),
        (10e-6, 24e-6),
    ),
    "four diodes": Bank(
        "id120",
        "?max_bias_v=170",
        EACH,
        _biases(low=142.0, high=168.0, step=4.0),
        lambda detector, channel: detector.set_bias(channel, 146.0),
        (142.0, 168.0),
    ),
    "comparators that are too high": Bank(
        "websq",
        "",
        ({},),
        _levels(low_v=0.02, high_v=0.35, step_v=0.04),
        lambda detector, channel: detector.set_threshold_v(channel, 0.3),
        (0.02, 0.35),
    ),
    "comparators in the noise": Bank(
        "websq",
        "",
        ({},),
        _levels(low_v=0.02, high_v=0.35, step_v=0.04),
        lambda detector, channel: detector.set_threshold_v(channel, 0.045),
        (0.02, 0.35),
    ),
}


def _bench() -> Bench:
    station = {"efficiency": 0.8, "dark_rate_cps": 1000.0}
    return Bench.from_network({"bench": {"seed": 4, "stations": {"alice": {}, "bob": station}}})


def _served(bench: Bench, bank: Bank) -> AbstractContextManager[list[Mounted]]:
    emulators = [
        (bank.driver, _make(bank.driver, bench.station("bob"), options, None))
        for options in bank.options
    ]
    return mounted("bob", emulators, query=bank.query)


def _judged(bench: Bench) -> Judged:
    """Return a block as efficiencies and noise of the bench stand, without shot noise."""
    alice, bob = (bench.station(name).begin(SPAN) for name in ("alice", "bob"))
    rates = 200_000 * click_probabilities(PAIR, alice.effects[:-1], bob.effects[:-1])
    rates = rates + 5e-4 * bob.noise_cps[None, :]
    matrix = tuple(tuple(float(each) for each in row) for row in BLOCK_S * rates)
    wrong = rates[0, 1] + rates[1, 0] + rates[2, 3] + rates[3, 2]
    qber = float(wrong / (rates[:2, :2].sum() + rates[2:, 2:].sum()))
    found = Estimate(value=qber, sigma=1e-5)
    return Judged(1, np.inf, Metrics(matrix=cast("Any", matrix), judged_span_s=BLOCK_S, qber=found))


@pytest.mark.slow
@pytest.mark.parametrize("name", BANKS)
def test_a_climb_brings_more_key_over_the_wire(name: str, tmp_path: Path) -> None:
    bank, bench = BANKS[name], _bench()

    def begin(parts: list[Mounted]) -> None:
        for number in INPUTS:
            part, channel = (parts[0], number) if len(parts) == 1 else (parts[number - 1], 1)
            part.ask(
                lambda each, channel=channel: (each.enable(True), bank.begin(each, channel)),
                timeout_s=60.0,
            )

    async def scene(parts: list[Mounted]) -> tuple[float, float, LoopView]:
        await asyncio.to_thread(begin, parts)
        runner = LoopRunner(bank.loop(tmp_path), lambda *_: None)
        async with asyncio.timeout(240):
            loop = await runner.open(parts)
            before, _ = merit_of(_judged(bench).metrics)
            for _ in range(LOOKS):
                runner.judged(_judged(bench))
                await runner.look(loop)
            after, _ = merit_of(_judged(bench).metrics)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        return before, after, runner.seat.view()

    with _served(bench, bank) as parts:
        before, after, view = asyncio.run(scene(parts))

    assert after > 1.2 * max(before, 1.0)
    low, high = bank.limits
    assert all(axis.actual is not None and low <= axis.actual <= high for axis in view.axes)
    assert view.moves_undone >= 1
    assert_replayed(tmp_path, least=LOOKS)
