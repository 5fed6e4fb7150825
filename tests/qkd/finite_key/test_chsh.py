from __future__ import annotations

import math

import pytest

from qnx_hw.qkd.finite_key import ChshTest, Correlator, device_independent_fraction

MEASURED = ChshTest(
    Correlator(406, 81, 77, 436),
    Correlator(90, 402, 421, 87),
    Correlator(415, 80, 72, 433),
    Correlator(409, 86, 91, 414),
)


def test_a_measured_s_matches_the_worked_numbers() -> None:
    assert MEASURED.a0_b0.value == pytest.approx(0.684)
    assert MEASURED.a0_b1.value == pytest.approx(-0.646)
    assert MEASURED.s == pytest.approx(2.672)
    assert MEASURED.sigma == pytest.approx(0.047044, abs=5e-7)
    assert (MEASURED.wins, MEASURED.trials) == (3336, 4000)
    assert MEASURED.lower_bound(1e-6) == pytest.approx(2.43716, abs=5e-6)


def test_unequal_trials_have_no_bound() -> None:
    uneven = ChshTest(Correlator(1, 0, 0, 0), *[Correlator(1, 1, 1, 1)] * 3)

    with pytest.raises(ValueError, match="equally many"):
        uneven.lower_bound(1e-6)


def test_empty_settings_are_refused() -> None:
    with pytest.raises(ValueError, match="at least one trial"):
        ChshTest(*[Correlator(0, 0, 0, 0)] * 4)


def test_the_device_independent_indicator() -> None:
    assert device_independent_fraction(2.672, 0.02) == pytest.approx(0.543026, abs=5e-7)
    assert device_independent_fraction(2 * math.sqrt(2), 0.0) == pytest.approx(1.0)
    assert device_independent_fraction(2.0, 0.0) == 0.0
    for qber, has_key in ((0.0714, True), (0.0716, False)):
        s = 2 * math.sqrt(2) * (1 - 2 * qber)
        assert (device_independent_fraction(s, qber) > 0.0) is has_key
