"""The loop of detectors' delays: what a feed subtracts ends at how late its inputs are."""

from __future__ import annotations

import asyncio
from pathlib import Path

import numpy as np
from replaying import assert_replayed

from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.config.loops import DelaysSection
from qnx_hw.control.loop import Title
from qnx_hw.node.delays_loop import DelaysLoop
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import LoopRunner
from qnx_hw.node.tags import TagFeed
from qnx_hw.qkd.arrivals import Lateness
from qnx_hw.qkd.session import Metrics

TITLE = Title("alice-bob bob delays", "bob", "alice-bob", "delay", unit="ps")
INPUTS = (1, 2, 3, 4)
SIGMA_PS = 15.0


def _looked(
    true_ps: tuple[float, ...], section: DelaysSection, feed: TagFeed, log: Path
) -> LoopView:
    rng = np.random.default_rng(3)

    def block() -> Judged:
        """Half of what is late shows at once, as where times are rounded to windows."""
        left = np.array(true_ps) - [feed.delays_ps.get(each, 0) for each in INPUTS]
        late = (left - left.mean()) / 2 + rng.normal(0, SIGMA_PS, len(INPUTS))
        told = Lateness(tuple(late.tolist()), (SIGMA_PS,) * len(INPUTS))
        return Judged(1, np.inf, Metrics(late_block=1, lateness=told))

    async def scene() -> LoopView:
        runner = LoopRunner(DelaysLoop(TITLE, section, feed, INPUTS, log), lambda *_: None)
        async with asyncio.timeout(120):
            loop = await runner.open([])
            for _ in range(20):
                runner.judged(block())
                await runner.look(loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        return runner.seat.view()

    return asyncio.run(scene())


def test_late_inputs_are_put_right_and_the_log_can_be_replayed(tmp_path: Path) -> None:
    feed = TagFeed(INPUTS)

    view = _looked((0.0, 400.0, 0.0, -200.0), DelaysSection(), feed, tmp_path)

    off = np.array([feed.delays_ps[each] for each in INPUTS]) - [0.0, 400.0, 0.0, -200.0]
    assert np.ptp(off) < 100.0
    assert view.state is LoopState.TRACKING
    assert [axis.actual for axis in view.axes] == [feed.delays_ps[each] for each in INPUTS]
    assert_replayed(tmp_path, least=20)


def test_no_input_is_corrected_by_more_than_the_limit(tmp_path: Path) -> None:
    feed = TagFeed(INPUTS)

    view = _looked((0.0, 4000.0, 0.0, 0.0), DelaysSection(most_ps=300.0), feed, tmp_path)

    assert all(abs(each) <= 300 for each in feed.delays_ps.values())
    assert view.state is LoopState.FAULT
    assert "the range is -300 to 300" in view.message
