"""Bias of a diode and level of a comparator: what is gained at one side costs at the other."""

from __future__ import annotations

import numpy as np
import pytest

from sim_devices.emulators.id120 import Id120Emulator
from sim_devices.emulators.s15spd import S15SpdEmulator
from sim_devices.physics import comparator
from sim_devices.physics.bench import Bench
from sim_devices.physics.bias import Bias

PARTS = (0.1, 0.5, 1.0, 1.5, 2.0)


def test_a_diode_trades_dark_counts_for_efficiency() -> None:
    bias = Bias()
    efficiencies, darks = [], []
    for part in PARTS:
        bias.set_excess(2, part)
        efficiencies.append(float(bias.efficiency_scale[1]))
        darks.append(float(bias.dark_scale[1]))

    assert efficiencies[2] == darks[2] == pytest.approx(1.0)
    assert efficiencies == sorted(efficiencies)
    assert np.diff(np.divide(darks, efficiencies)).min() > 0
    # A nanowire beside it is not touched, and below breakdown there is nothing.
    assert bias.efficiency_scale[0] == pytest.approx(1.0)
    bias.set_excess(2, -1.0)
    assert bias.efficiency_scale[1] == bias.dark_scale[1] == 0.0


def test_a_level_between_noise_and_pulse_hears_all_and_nothing_else() -> None:
    assert comparator.heard(comparator.PULSE_MV) == 0.5
    assert comparator.heard(150.0) == pytest.approx(1.0, abs=1e-6)
    assert comparator.noise_cps(150.0) < 1e-6
    assert comparator.heard(600.0) < 1e-6
    # Rice: three more standard deviations from three on are a factor of exp(27/2).
    three, six = (n * comparator.NOISE_RMS_MV for n in (3, 6))
    ratio = comparator.noise_cps(three) / comparator.noise_cps(six)
    assert ratio == pytest.approx(np.exp(13.5))
    assert comparator.heard(0.0) == comparator.noise_cps(0.0) == 0.0


@pytest.mark.parametrize(
    ("emulator", "lower"),
    [(Id120Emulator, b"BIAS:VOLTAGE 150000000\n"), (S15SpdEmulator, b"hvolt 187\n")],
)
def test_a_diodes_bias_reaches_its_detector_of_the_bench(emulator: type, lower: bytes) -> None:
    station = Bench.from_network({"bench": {"stations": {"bob": {}}}}).station("bob")
    diode = emulator(station, {"detector": 3})
    before = station.bias.efficiency_scale.copy()

    diode.feed(0, 0, lower, 0.0)

    after = station.bias.efficiency_scale
    assert before == pytest.approx(np.ones(4))
    assert 0 < after[2] < 0.8
    assert np.delete(after, 2) == pytest.approx(np.ones(3))
