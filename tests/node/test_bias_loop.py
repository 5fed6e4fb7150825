"""A latched detector loses its bias and gets it back, over the detector's own wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from emulated import emulated
from replaying import assert_replayed

from qnx_hw.api.loops import LoopState
from qnx_hw.api.schema import Level
from qnx_hw.config import InstrumentSection
from qnx_hw.config.loops import BiasSection
from qnx_hw.control.loop import Title
from qnx_hw.node.bank import Mounted
from qnx_hw.node.bias_loop import BiasLoop
from qnx_hw.node.loop_runner import LoopRunner

TITLE = Title("alice-bob bob bias", "bob", "alice-bob", "bias", "detectors")


@pytest.mark.slow
def test_a_silent_detector_gets_its_bias_back(tmp_path: Path) -> None:
    rates = [40_000.0] * 4
    told: list[str] = []

    async def scene(url: str) -> None:
        section = InstrumentSection(driver="websq", url=url, settings={"enabled": True})
        mounted = Mounted("bob", "detectors", section, True, None)
        mounted.start()
        kind = BiasLoop(TITLE, BiasSection(), (1, 2, 3, 4), lambda: tuple(rates), tmp_path)
        runner = LoopRunner(kind, lambda level, source, words: told.append(f"{level} {words}"))
        async with asyncio.timeout(120):
            loop = await runner.open([mounted])
            for _ in range(4):
                await runner.look(loop)
            before = mounted.ask(lambda detectors: detectors.settings())
            rates[1] = 0.0
            await runner.look(loop)
            without = mounted.ask(lambda detectors: detectors.settings())
            rates[1] = 40_000.0
            await runner.look(loop)
            after = mounted.ask(lambda detectors: detectors.settings())
            await runner.look(loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        await asyncio.to_thread(mounted.close)

        assert without["bias_2_A"] == 0.0
        assert without["bias_1_A"] == before["bias_1_A"] == after["bias_1_A"]
        assert 0.97 * float(before["bias_2_A"]) < float(after["bias_2_A"])
        assert float(after["bias_2_A"]) < float(before["bias_2_A"])
        assert runner.seat.view().state is LoopState.TRACKING

    with emulated("websq", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0") as place:
        asyncio.run(scene(place.url))

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
        runner = LoopRunner(kind, lambda level, source, words: None)
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
