"""The stock with each peer and its rates are shown as they are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from key_pairs import fill, joined

from qnx_hw.node.pools import SMOOTHING_S, Pools


def test_rates_follow_what_comes_and_goes(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path, 1064) as pair:
            now_s = 0.0
            pools = Pools(pair.alice, 10**6, 500, lambda: now_s)
            await pools.look("bob")
            (view,) = pools.views()
            assert (view.name, view.link, view.reserve_bits) == ("alice bob", "alice-bob", 500)
            assert view.stock_bits == 4 * 8000
            assert (view.in_bps, view.out_bps, view.exhausted_in_s) == (0.0, 0.0, None)

            now_s = SMOOTHING_S
            await pair.alice.get("bob", 256, 10)
            await pools.look("bob")
            (view,) = pools.views()
            assert view.out_bps == pytest.approx(2560 / SMOOTHING_S)
            assert view.exhausted_in_s == pytest.approx(view.stock_bits / view.out_bps)

            now_s = 2 * SMOOTHING_S
            fill(list(pair.stores.values()), 1064, blocks=(5,))
            await pools.look("bob")
            (view,) = pools.views()
            assert view.in_bps == pytest.approx(8000 / SMOOTHING_S)
            assert (view.out_bps, view.exhausted_in_s) == (0.0, None)

    asyncio.run(scenario())


def test_a_pad_set_aside_is_still_in_stock(tmp_path: Path) -> None:
    async def scenario() -> None:
        async with joined(tmp_path, 1064) as pair:
            pools = Pools(pair.alice, 10**6, 0)
            await pair.alice.take_pad("bob", 100)
            await pools.look("bob")

            assert pools.views()[0].stock_bits == 4 * 8000 - 800

    asyncio.run(scenario())
