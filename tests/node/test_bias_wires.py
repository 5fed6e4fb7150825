"""The climb of biases with the bench's own light, over the detectors' own wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
import pytest
from replaying import assert_replayed

from qnx_hw.api.value import Estimate
from qnx_hw.config import InstrumentSection
from qnx_hw.config.loops import BiasSection
from qnx_hw.control.loop import Title
from qnx_hw.node.bank import Mounted
from qnx_hw.node.bias_loop import BiasLoop
from qnx_hw.node.key_merit import merit_of
from qnx_hw.node.loop_runner import LoopRunner
from qnx_hw.node.station import Judged
from qnx_hw.qkd.session import Metrics
from sim_devices.emulators.server import serving
from sim_devices.physics.bench import Bench
from sim_devices.physics.polarization import BELL_KETS, click_probabilities, werner
from sim_devices.serve import _make

TITLE = Title("alice-bob bob bias", "bob", "alice-bob", "bias", "detectors")
PAIR = werner(BELL_KETS["phi+"], 0.98)
SPAN = (0, 10_000_000_000)
BLOCK_S = 10.0


def _judged(bench: Bench) -> Judged:
    """Return a block as efficiencies and dark counts of the bench stand, without shot noise."""
    passages = [bench.station(name).begin(SPAN) for name in ("alice", "bob")]
    rates = 200_000 * click_probabilities(PAIR, *(each.effects[:-1] for each in passages))
    dark = 1000 * bench.station("bob").bias.dark_scale
    rates = rates + 5e-4 * dark[None, :]
    matrix = tuple(tuple(float(each) for each in row) for row in BLOCK_S * rates)
    wrong = rates[0, 1] + rates[1, 0] + rates[2, 3] + rates[3, 2]
    qber = float(wrong / (rates[:2, :2].sum() + rates[2:, 2:].sum()))
    return Judged(
        1,
        np.inf,
        Metrics(matrix=matrix, judged_span_s=BLOCK_S, qber=Estimate(value=qber, sigma=1e-5)),
    )


@pytest.mark.slow
def test_the_climb_brings_more_key_over_the_wire(tmp_path: Path) -> None:
    stations = {"alice": {}, "bob": {"efficiency": 0.8}}
    bench = Bench.from_network({"bench": {"seed": 4, "stations": stations}})
    section = BiasSection(algorithm="climb", low=10e-6, high=24e-6, step=2e-6)

    async def scene(url: str) -> tuple[float, float, tuple[float, ...]]:
        settings = {"enabled": True, **{f"bias_{n}_A": 14e-6 for n in (1, 2, 3, 4)}}
        instrument = InstrumentSection(driver="websq", url=url, settings=settings)
        mounted = Mounted("bob", "detectors", instrument, True, None)
        mounted.start()
        kind = BiasLoop(TITLE, section, (1, 2, 3, 4), lambda: (4e4,) * 4, tmp_path)
        runner = LoopRunner(kind, lambda level, source, words: None)
        async with asyncio.timeout(240):
            loop = await runner.open([mounted])
            before, _ = merit_of(_judged(bench).metrics)
            for _ in range(16):
                runner.judged(_judged(bench))
                await runner.look(loop)
            after, _ = merit_of(_judged(bench).metrics)
            biases = await asyncio.to_thread(mounted.ask, lambda detectors: detectors.settings())
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        await asyncio.to_thread(mounted.close)
        return before, after, tuple(float(biases[f"bias_{n}_A"]) for n in (1, 2, 3, 4))

    emulator = _make("websq", bench.station("bob"), {}, None)  # type: ignore[arg-type]
    with serving(emulator, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0") as (control, counts):
        port = counts.address.rpartition(":")[2]
        before, after, biases = asyncio.run(scene(f"tcp://{control.address}?counts_port={port}"))

    assert after > 1.2 * before
    assert 14e-6 < max(biases) <= 24e-6
    assert_replayed(tmp_path, least=16)
