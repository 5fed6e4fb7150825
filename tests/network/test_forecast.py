"""Forecasts follow the better model, say how sure they are, and notice when things change."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from qnx_hw.network.forecast import LAST, LEARNT, MEAN, SEASON, Forecaster, train
from qnx_hw.network.topology import Floats


def followed(values: Floats, *, season: int = 0) -> Forecaster:
    forecaster = Forecaster(values.shape[1], season=season)
    for row in values:
        forecaster.observe(row)
    return forecaster


def test_noise_around_a_level_is_forecast_by_the_mean_and_a_walk_by_the_last_value() -> None:
    rng = np.random.default_rng(1)
    noise = 100 + rng.normal(0, 10, 300)
    walk = 1000 + rng.normal(0, 10, 300).cumsum()

    expected = followed(np.stack((noise, walk), axis=1)).expect()

    assert expected.models == (MEAN, LAST)


def test_a_day_that_repeats_is_forecast_by_the_day_before() -> None:
    day = 100 + 80 * np.random.default_rng(2).random(24)

    forecaster = followed(np.tile(day, 6)[:, None], season=24)

    assert forecaster.expect().models == (SEASON,)
    np.testing.assert_allclose(forecaster.expect().values, day[0])


def test_the_range_holds_as_often_as_it_says() -> None:
    rng = np.random.default_rng(3)
    values = 100 + rng.normal(0, 10, (600, 4))
    forecaster, inside = Forecaster(4), []

    for row in values:
        if forecaster.steps > 200:
            expected = forecaster.expect()
            inside.append((expected.low <= row) & (row <= expected.high))
        forecaster.observe(row)

    assert 0.72 <= np.mean(inside) <= 0.88


def test_a_trained_model_is_used_where_it_is_better_and_only_there() -> None:
    rng = np.random.default_rng(4)
    swing = np.zeros((600, 2))
    for step in range(2, 600):
        swing[step] = 1.8 * swing[step - 1] - 0.95 * swing[step - 2] + rng.normal(0, 1, 2)
    swing += 500
    forecaster = followed(swing[:400])
    forecaster.learn(train(forecaster.lesson()))
    for row in swing[400:]:
        forecaster.observe(row)
    assert forecaster.expect().models == (LEARNT, LEARNT)

    walk = followed(1000 + rng.normal(0, 10, (400, 1)).cumsum(axis=0))
    walk.learn(train(np.random.default_rng(9).random((100, 1))))
    for row in 1000 + rng.normal(0, 10, (100, 1)).cumsum(axis=0):
        walk.observe(row)
    assert walk.expect().models == (LAST,)


def test_a_change_of_regime_is_noticed_once_and_puts_the_trained_model_aside() -> None:
    rng = np.random.default_rng(5)
    calm = 100 + rng.normal(0, 1, (200, 3))
    forecaster = followed(calm)
    forecaster.learn(train(forecaster.lesson()))
    assert forecaster.drifts == 0

    for row in 400 + rng.normal(0, 60, (16, 3)):
        forecaster.observe(row)

    assert forecaster.drifts == 1
    assert LEARNT not in forecaster.expect().models


@settings(max_examples=50, deadline=None)
@given(arrays(np.float64, (12, 3), elements=st.floats(allow_nan=True, allow_infinity=True)))
def test_whatever_is_observed_the_forecast_is_a_number_within_its_range(values: Floats) -> None:
    bounded = np.where(np.abs(values) > 1e15, np.nan, values)

    expected = followed(bounded).expect()

    for each in (expected.values, expected.low, expected.high):
        assert np.all(np.isfinite(each))
    assert np.all(expected.low <= expected.values)
    assert np.all(expected.values <= expected.high)
