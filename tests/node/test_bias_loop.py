"""A latched detector loses its bias and gets it back, over the detector's own wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from emulated import emulated
from mounting import mounted
from replaying import assert_replayed

from qnx_hw.api.loops import LoopState
from qnx_hw.api.schema import Level
from qnx_hw.config import InstrumentSection
from qnx_hw.config.loops import BiasSection
from qnx_hw.control.loop import Title
from qnx_hw.node.bank import Mounted
from qnx_hw.node.bias_loop import BiasLoop
from qnx_hw.node.loop_runner import LoopRunner
from sim_devices.emulators.websq import WebSqEmulator
from sim_devices.physics.bench import Bench

INPUTS = (1, 2, 3, 4)
TITLE = Title("alice-bob bob bias", "bob", "alice-bob", "bias", "detectors")


@pytest.mark.slow
def test_a_latched_wire_gets_its_bias_back(tmp_path: Path) -> None:
    station = Bench.from_network({"bench": {"stations": {"bob": {}}}}).station("bob")
    told: list[str] = []

    def rates_cps() -> tuple[float, ...]:
        return tuple((4e4 * station.bias.efficiency_scale).tolist())

    async def scene(detectors: Mounted) -> None:
        kind = BiasLoop(TITLE, BiasSection(), INPUTS, rates_cps, tmp_path)
        runner = LoopRunner(
            kind, lambda level, source, words, about="": told.append(f"{level} {words}")
        )
        async with asyncio.timeout(120):
            loop = await runner.open([detectors])
            for _ in range(4):
                await runner.look(loop)
            before = station.bias.efficiency_scale.copy()
            for microampere in (40.0, 20.0):
                station.set_bias(2, microampere)
            assert station.latched == (False, True, False, False)
            for _ in range(3):
                await runner.look(loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()

        assert station.latched == (False,) * 4
        assert 0.9 * before[1] < station.bias.efficiency_scale[1] < before[1]
        assert runner.seat.view().state is LoopState.TRACKING
        actual = [axis.actual for axis in loop.view.axes]
        assert actual == pytest.approx([20e-6, 19.6e-6, 20e-6, 20e-6])

    with mounted("bob", [("websq", WebSqEmulator(station))]) as (detectors,):
        asyncio.run(scene(detectors))

    assert f"{Level.WARNING} searching: detector 2 has latched" in told
    assert_replayed(tmp_path, least=7)


@pytest.mark.slow
def test_biases_are_found_in_the_dark_and_kept_within_the_limits(tmp_path: Path) -> None:
    rates = [40_000.0] * 4
    section = BiasSection(algorithm="auto", dark_cps=100.0, high=18e-6)

    async def scene(url: str) -> None:
        instrument = InstrumentSection(driver="websq", url=url, settings={"enabled": True})
        mounted = Mounted("bob", "detectors", instrument, True, None)
        mounted.start()
        kind = BiasLoop(TITLE, section, (1, 2, 3, 4), lambda: tuple(rates), tmp_path)
        runner = LoopRunner(kind, lambda *_: None)
        async with asyncio.timeout(120):
            loop = await runner.open([mounted])
            before = mounted.ask(lambda detectors: detectors.settings())
            await runner.look(loop)
            lit = mounted.ask(lambda detectors: detectors.settings())
            assert "40000 counts/s are light" in loop.view.message
            rates[:] = [50.0] * 4
            await runner.look(loop)
            found = mounted.ask(lambda detectors: detectors.settings())
            await runner.look(loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        await asyncio.to_thread(mounted.close)

        biases = [f"bias_{channel}_A" for channel in (1, 2, 3, 4)]
        assert [lit[each] for each in biases] == [before[each] for each in biases]
        # The unit finds 20 uA; the table allows 18.
        assert [found[each] for each in biases] == pytest.approx([18e-6] * 4)
        assert loop.view.state is LoopState.TRACKING
        assert [axis.actual for axis in loop.view.axes] == pytest.approx([18e-6] * 4)

    with emulated("websq", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0") as place:
        asyncio.run(scene(place.url))
    assert_replayed(tmp_path, least=3)
