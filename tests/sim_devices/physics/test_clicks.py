"""Event drawing: its laws, its order, its repeatability."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from sim_devices.physics.clicks import Bunching, Place, alias_table, draw
from sim_devices.physics.random_words import exponential, seeded

PLACE = Place(1, 2, 3)
SECOND_PS = 1_000_000_000_000


def _rates(**entries: float) -> NDArray[np.float64]:
    rates = np.zeros((5, 5))
    for name, value in entries.items():
        rates[int(name[1]), int(name[2])] = value
    return rates


@given(st.lists(st.floats(0.0, 1.0), min_size=1, max_size=32))
def test_alias_table_keeps_every_probability(weights: list[float]) -> None:
    total = sum(weights)
    if total < 1e-6:
        return
    probabilities = np.array(weights) / total
    keep, other = alias_table(probabilities)

    n = len(weights)
    restored = keep.clip(0, 1) / n
    np.add.at(restored, other, (1 - keep.clip(0, 1)) / n)

    assert np.allclose(restored, probabilities, atol=1e-12)


def test_exponential_has_the_right_law() -> None:
    state = tuple(seeded(1, 2, 3))
    draws = np.empty(200_000)
    for i in range(len(draws)):
        draws[i], *rest = exponential(*state)
        state = tuple(np.uint64(word) for word in rest)

    # Kolmogorov-Smirnov at one in 10 000.
    distance = np.abs(np.sort(1 - np.exp(-draws)) - np.arange(1, len(draws) + 1) / len(draws))
    assert distance.max() < 2.23 / np.sqrt(len(draws))
    assert draws.max() > 9.0


def test_events_split_by_their_rates() -> None:
    rates = _rates(r00=1e5, r12=2e5, r34=3e5, r43=4e5)

    here, there = draw(rates, (0, SECOND_PS), PLACE, Bunching())

    counts = [np.count_nonzero(here.detectors == d) for d in (0, 1, 2, 3)]
    assert abs(np.array(counts) - [1e5, 2e5, 0, 3e5]).max() < 4 * np.sqrt(3e5)
    assert len(there.times_ps) == pytest.approx(7e5, abs=4 * np.sqrt(7e5))
    assert set(there.detectors.tolist()) == {0, 2, 3}
    both = np.intersect1d(here.times_ps, there.times_ps)
    assert len(both) == pytest.approx(3e5, abs=4 * np.sqrt(3e5))


def test_times_are_sorted_and_within_the_span() -> None:
    here, _ = draw(_rates(r04=1e6), (5_000, 10**10), PLACE, Bunching())

    assert (np.diff(here.times_ps) >= 0).all()
    assert here.times_ps[0] >= 5_000
    assert here.times_ps[-1] < 10**10 + 5_000


def test_place_decides_the_events() -> None:
    first, again, later = (
        draw(_rates(r04=1e6), (0, 10**9), place, Bunching())[0].times_ps
        for place in (PLACE, PLACE, Place(1, 2, 4))
    )

    assert np.array_equal(first, again)
    assert not np.array_equal(first, later)


def test_no_light_means_no_events() -> None:
    here, there = draw(_rates(r44=1e9), (0, SECOND_PS), PLACE, Bunching())

    assert here.times_ps.size == there.times_ps.size == 0


@pytest.mark.parametrize("modes", [1.0, 2.0, 10.0, 0.0])
def test_pulses_hold_a_negative_binomial_number(modes: float) -> None:
    period_ps, mean = 10_000, 0.5
    rates = _rates(r04=mean / period_ps * 1e12)

    here, _ = draw(rates, (0, 2 * 10**9), PLACE, Bunching(period_ps, modes))

    per_pulse = np.bincount(here.times_ps // period_ps, minlength=200_000)
    assert (here.times_ps % period_ps == 0).all()
    assert per_pulse.mean() == pytest.approx(mean, abs=0.01)
    # g2(0) = 1 + 1/K for K modes, 1 for Poisson.
    g2 = (per_pulse * (per_pulse - 1.0)).mean() / per_pulse.mean() ** 2
    assert g2 == pytest.approx(1 + (1 / modes if modes else 0.0), abs=0.05)


def test_thermal_light_without_pulses_is_refused() -> None:
    with pytest.raises(ValueError, match="pulsed"):
        Bunching(0, 1.0)
