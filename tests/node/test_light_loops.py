"""Pump power and launched light, set over the wires of attenuator and power meter on the bench."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from mounting import mounted
from replaying import assert_replayed

from qnx_hw.api.loops import LoopState
from qnx_hw.api.value import Estimate
from qnx_hw.config import LinkSection
from qnx_hw.config.loops import LaunchSection, PumpSection
from qnx_hw.config.network import StationSection
from qnx_hw.config.pulses import PulsesSection
from qnx_hw.control.loop import Title
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.light_loops import LaunchLoop, PumpLoop
from qnx_hw.node.loop_runner import LoopRunner, NodeLoop
from qnx_hw.qkd.finite_key.expectation import secret_rate_bps
from qnx_hw.qkd.session import Metrics
from sim_devices.emulators.dd100 import Dd100Emulator
from sim_devices.emulators.pm100 import Pm100Emulator
from sim_devices.physics.beam import Beam
from sim_devices.physics.bench import Bench
from sim_devices.physics.pattern import Score

LINK = LinkSection(alice=StationSection(node="alice"), bob=StationSection(node="bob"))
PULSES = PulsesSection(rate_hz=1e9, intensities=(0.5, 0.12, 0.0), shares=(0.7, 0.2, 0.1))
TAP_DB = 60.0
TCP = ("tcp://127.0.0.1:0",)


def _title(kind: str) -> Title:
    return Title(f"alice-bob {kind}", "alice", "alice-bob", kind, "dd100")


def _driven(kind: NodeLoop, parts: list[Mounted], scene: Any) -> LoopRunner:
    async def run() -> LoopRunner:
        runner = LoopRunner(kind, lambda *_: None)
        async with asyncio.timeout(120):
            loop = await runner.open(parts)
            await scene(runner, loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        return runner

    return asyncio.run(run())


def _block(pump: Beam) -> Judged:
    """What a link with much light and a wide window shows at a pump power."""
    pairs_hz, window_s = 1.5e8 * pump.factor, 2e-9
    singles = 0.1 * pairs_hz + 1000.0
    accidentals = singles * singles * window_s
    coincidences = 0.01 * pairs_hz + accidentals
    qber = (0.015 * 0.01 * pairs_hz + accidentals / 2) / coincidences
    metrics = Metrics(
        coincidence_rate_cps=coincidences,
        accidental_rate_cps=accidentals,
        qber=Estimate(value=qber),
        singles_cps=(singles / 4,) * 4,
    )
    return Judged(1, float("inf"), metrics)


def _key(attenuation_db: float) -> float:
    pump = Beam(0.0)
    pump.attenuation_db = attenuation_db
    metrics = _block(pump).metrics
    assert metrics.coincidence_rate_cps is not None
    assert metrics.qber.value is not None
    return secret_rate_bps(metrics.coincidence_rate_cps, metrics.qber.value, 0.3)


@pytest.mark.slow
def test_the_pump_goes_to_the_power_with_the_most_key(tmp_path: Path) -> None:
    pump = Beam(0.0)
    section = PumpSection(attenuator="dd100", most_db=30.0)
    kind = PumpLoop(_title("source_power"), section, lambda: LINK, tmp_path)

    async def scene(runner: LoopRunner, loop: Any) -> None:
        for _ in range(6):
            runner.judged(_block(pump))
            await runner.look(loop)

    with mounted("alice", [("dd100", Dd100Emulator(pump))], listen=TCP) as parts:
        view = _driven(kind, parts, scene).seat.view()

    best = max(_key(each / 10) for each in range(300))
    assert _key(pump.attenuation_db) > 0.95 * best > _key(1.5)
    assert view.state is LoopState.TRACKING
    assert [axis.unit for axis in view.axes] == ["%"]
    assert_replayed(tmp_path, least=6)


@pytest.mark.slow
def test_launched_light_is_held_and_never_made_up_for_a_failing_source(tmp_path: Path) -> None:
    stations = {"bob": {}}
    transmitter = {"arm": "bob", "pulse_rate_hz": 1e9, "launch_db": 12.0}
    bench = Bench.from_network(
        {"bench": {"stations": stations, "transmitters": {"alice": transmitter}}}
    )
    light = bench.transmitter("alice")
    score = Score(bytes(32), bytes(16), 0, 16_384, (45_875, 58_982))
    section = LaunchSection(attenuator="dd100", power_meter="pm100", tap_db=TAP_DB)
    kind = LaunchLoop(_title("attenuation"), section, PULSES, lambda: True, tmp_path)
    seen: dict[str, tuple[float, LoopState]] = {}

    async def scene(runner: LoopRunner, loop: Any) -> None:
        light.play(score, PULSES.intensities, 0.0)
        for name, looks in (("held", 3), ("failed", 2), ("back", 2)):
            if name == "failed":
                light.darken(0.0)
            if name == "back":
                light.play(score, PULSES.intensities, 0.0)
            for _ in range(looks):
                await runner.look(loop)
            seen[name] = light.beam.attenuation_db, runner.seat.view().state
        parts[1].close()
        for _ in range(3):
            await runner.look(loop)
        seen["blind"] = light.beam.attenuation_db, runner.seat.view().state

    emulators = [
        ("dd100", Dd100Emulator(light.beam)),
        ("pm100", Pm100Emulator(light.beam, {"tap_db": TAP_DB})),
    ]
    with mounted("alice", emulators, listen=TCP) as parts:
        _driven(kind, parts, scene)

    assert seen["held"][0] == pytest.approx(12.0, abs=0.1)
    assert seen["held"][1] is LoopState.TRACKING
    assert seen["failed"] == (seen["held"][0], LoopState.FAULT)
    assert seen["back"] == seen["held"]
    assert seen["blind"] == (60.0, LoopState.FAULT)
    assert_replayed(tmp_path, least=7)
