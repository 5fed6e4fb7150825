"""Tags reach their listener in order and without a gap, or it is told."""

from __future__ import annotations

import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from qnx_hw.instruments.tags import TagBlock
from qnx_hw.node.tags import MAX_WAITING_TAGS, TagFeed, TagsLost

INPUTS = (1, 2, 3, 4)


def block(index: int, channels: list[int], span_ps: int = 100_000_000_000) -> TagBlock:
    start = index * span_ps
    return TagBlock(
        np.arange(start, start + len(channels), dtype=np.int64),
        np.array(channels, dtype=np.uint8),
        start,
        start + span_ps,
    )


@given(st.integers(1, 50))
def test_blocks_come_in_order(count: int) -> None:
    async def scenario() -> list[int]:
        feed = TagFeed(INPUTS)
        blocks = feed.blocks()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(anext(blocks))
            await asyncio.sleep(0)
            for index in range(count):
                feed.deliver(block(index, [1]))
        starts = [first.result().start_ps]
        starts += [(await anext(blocks)).start_ps for _ in range(count - 1)]
        await blocks.aclose()
        return starts

    assert asyncio.run(scenario()) == [index * 100_000_000_000 for index in range(count)]


def test_an_interruption_is_told_instead_of_a_gap() -> None:
    async def scenario() -> None:
        feed = TagFeed(INPUTS)
        async with asyncio.timeout(120):
            blocks = feed.blocks()
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(anext(blocks))
                await asyncio.sleep(0)
                feed.deliver(block(0, [1]))
            feed.interrupt("the tagger was unplugged")
            feed.deliver(block(5, [1]))
            await anext(blocks)

    with pytest.raises(TagsLost, match="unplugged"):
        asyncio.run(scenario())


def test_rates_are_those_of_the_last_second() -> None:
    feed = TagFeed(INPUTS)
    for index in range(30):
        feed.deliver(block(index, [1, 1, 2, 4] if index >= 20 else [3] * 50))

    assert feed.rates_cps() == pytest.approx((20.0, 10.0, 0.0, 10.0))


def test_nobody_waits_without_bounds() -> None:
    async def scenario() -> None:
        feed = TagFeed(INPUTS)
        blocks = feed.blocks()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(anext(blocks))
            await asyncio.sleep(0)
            feed.deliver(block(0, []))
        big = np.zeros(MAX_WAITING_TAGS // 2 + 1, dtype=np.int64)
        for index in range(2):
            feed.deliver(TagBlock(big, np.ones(big.size, dtype=np.uint8), index, index + 1))
        await anext(blocks)

    with pytest.raises(TagsLost, match="keep up"):
        asyncio.run(scenario())


@given(
    st.lists(st.integers(1, 4), max_size=40),
    st.dictionaries(st.integers(1, 4), st.integers(-60, 60)),
)
def test_late_inputs_are_put_earlier_for_the_listener_alone(
    channels: list[int], delays_ps: dict[int, int]
) -> None:
    async def scenario() -> TagBlock:
        feed = TagFeed(INPUTS)
        feed.delays_ps = delays_ps
        blocks = feed.blocks()
        async with asyncio.TaskGroup() as tasks:
            first = tasks.create_task(anext(blocks))
            await asyncio.sleep(0)
            feed.deliver(raw)
        await blocks.aclose()
        return first.result()

    raw = block(3, channels)
    got = asyncio.run(scenario())

    wanted = [
        min(max(int(time) - delays_ps.get(channel, 0), raw.start_ps), raw.end_ps - 1)
        for time, channel in zip(raw.times_ps, channels, strict=True)
    ]
    assert got.times_ps.tolist() == sorted(wanted)
    assert sorted(zip(got.times_ps.tolist(), got.channels.tolist(), strict=True)) == sorted(
        zip(wanted, channels, strict=True)
    )
    assert raw.times_ps.tolist() == sorted(raw.times_ps.tolist())
