"""Key is never given twice, never wasted on bulk that critical flows will need, and priced."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.network.key_outlook import look_ahead
from qnx_hw.network.keyflow import (
    BULK,
    CRITICAL,
    WEIGHTS,
    KeyMap,
    Mode,
    Outlook,
    Pools,
    allocate,
    clairvoyant,
    key_draw_bps,
    key_topology,
)
from qnx_hw.network.paths import candidates
from qnx_hw.network.topology import Floats


def ring() -> KeyMap:
    """Four nodes in a ring: every pair has two ways."""
    topology = key_topology(("a", "b", "c", "d"), [(0, 1), (1, 2), (2, 3), (3, 0)])
    return KeyMap.of(candidates(topology))


def pair(key_map: KeyMap, source: int, target: int) -> int:
    rows, columns = key_map.paths.topology.pairs
    return int(np.flatnonzero((rows == source) & (columns == target))[0])


def outlook(slots: int = 1, gain: float = 0.0) -> Outlook:
    return Outlook(np.zeros((slots, 2, 12)), np.full((slots, 4), gain))


def test_both_ways_of_a_ring_are_drawn_down_together() -> None:
    key_map, ahead = ring(), outlook()
    ahead.wanted[0, BULK, pair(key_map, 0, 2)] = 150.0
    pools = Pools(np.full(4, 100.0), np.full(4, 1000.0))

    grants = allocate(key_map, pools, ahead)

    assert grants.served(key_map)[BULK].sum() == pytest.approx(150.0)
    assert grants.used(key_map).max() <= 100.0
    assert grants.used(key_map).sum() == pytest.approx(300.0)


def test_bulk_waits_where_critical_flows_are_expected_to_need_the_key() -> None:
    key_map, ahead = ring(), outlook(slots=6)
    ahead.wanted[0, BULK, pair(key_map, 0, 1)] = 500.0
    ahead.wanted[3, CRITICAL, pair(key_map, 0, 1)] = 180.0
    pools = Pools(np.full(4, 100.0), np.full(4, 1000.0))

    served = allocate(key_map, pools, ahead).served(key_map)

    assert served[BULK].sum() == pytest.approx(20.0, abs=1.0)


def test_a_pool_that_will_overflow_is_used_now() -> None:
    key_map, ahead = ring(), outlook(slots=6, gain=100.0)
    ahead.wanted[0, BULK, pair(key_map, 0, 1)] = 90.0
    ahead.wanted[3, CRITICAL, pair(key_map, 0, 1)] = 150.0
    pools = Pools(np.full(4, 100.0), np.full(4, 120.0))

    assert allocate(key_map, pools, ahead).served(key_map)[BULK].sum() == pytest.approx(90.0)


def test_the_price_of_plenty_is_nearly_nothing_and_of_scarcity_the_worth_of_what_waits() -> None:
    key_map, ahead = ring(), outlook(slots=3)
    ahead.wanted[:, CRITICAL, pair(key_map, 0, 1)] = 100.0
    stock = np.array([100.0, 1000.0, 100.0, 1000.0])

    prices = allocate(key_map, Pools(stock, np.full(4, 1000.0)), ahead).prices

    # The direct way and the way round are both short: a bit more on either serves a critical bit.
    assert prices[0] == pytest.approx(WEIGHTS[CRITICAL], rel=0.05)
    assert prices.min() <= 0.1 * WEIGHTS[BULK]


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_nobody_gets_more_than_asked_and_no_pool_gives_more_than_it_has(seed: int) -> None:
    key_map, rng = ring(), np.random.default_rng(seed)
    ahead = Outlook(
        rng.exponential(50, (5, 2, 12)) * (rng.random((5, 2, 12)) < 0.4),
        rng.exponential(40, (5, 4)),
    )
    pools = Pools(rng.exponential(60, 4), np.full(4, 200.0))

    grants = allocate(key_map, pools, ahead)

    assert np.all(grants.flows >= 0)
    assert np.all(grants.served(key_map) <= ahead.wanted[0] * (1 + 1e-9) + 1e-9)
    assert np.all(grants.used(key_map) <= pools.stock * (1 + 1e-9) + 1e-9)
    assert np.all(grants.prices >= -1e-9)


def played(key_map: KeyMap, wanted: Floats, gains: Floats, pools: Pools, season: int) -> float:
    worth = 0.0
    for slot in range(len(wanted)):
        ahead = look_ahead(wanted[:slot], gains[:slot], wanted[slot], season=season, horizon=24)
        grants = allocate(key_map, pools, ahead)
        worth += float((grants.served(key_map).sum(axis=1) * WEIGHTS).sum())
        pools = pools.after(grants.used(key_map), gains[slot])
    return worth


@pytest.mark.slow
def test_the_receding_horizon_comes_near_who_knows_all_and_never_beyond() -> None:
    key_map, rng = ring(), np.random.default_rng(7)
    day = 1 + 0.8 * np.sin(2 * np.pi * np.arange(72) / 24)
    wanted = rng.gamma(4, 2.5, (72, 2, 12)) * day[:, None, None]
    wanted[:, CRITICAL] *= 0.15
    gains = np.full((72, 4), 0.85 * wanted.sum(axis=(1, 2)).mean() * 4 / 3 / 4)
    pools = Pools(gains.mean(axis=0) * 4, gains.mean(axis=0) * 16)

    ours = played(key_map, wanted, gains, pools, season=24)
    best = clairvoyant(key_map, pools, Outlook(wanted, gains))

    assert 0.95 * best <= ours <= best * (1 + 1e-6)


def test_a_day_like_the_last_is_foreseen() -> None:
    day = np.arange(1.0, 25.0)
    gains = np.tile(day, 3)[:, None]
    wanted = np.zeros((72, 2, 1))

    ahead = look_ahead(wanted, gains, np.zeros((2, 1)), season=24, horizon=30)

    np.testing.assert_allclose(ahead.gains[:, 0], 0.9 * np.concatenate((day, day[:6])))


def test_otp_draws_at_the_data_rate_and_aes_a_key_each_way_per_rekeying() -> None:
    assert key_draw_bps(Mode.OTP, 5e6, rekey_s=60.0) == 5e6
    assert key_draw_bps(Mode.AES, 5e9, rekey_s=60.0) == pytest.approx(512 / 60)
