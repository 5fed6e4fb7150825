"""The loop of the coincidence window: what it sees, where it stops, what it does when refused."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from replaying import assert_replayed
from rounded_delays import delay_histogram

from qnx_hw.api.loops import LoopState, LoopView
from qnx_hw.api.value import Estimate
from qnx_hw.config import LinkSection
from qnx_hw.config.loops import WindowSection
from qnx_hw.config.network import StationSection
from qnx_hw.control.loop import Title
from qnx_hw.errors import QnxError
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import LoopRunner
from qnx_hw.node.window_loop import WindowLoop, window_of_both
from qnx_hw.qkd.session import Metrics

TITLE = Title("alice-bob window", "alice", "alice-bob", "window")
WIDE = LinkSection(
    alice=StationSection(node="alice"),
    bob=StationSection(node="bob"),
    coincidence_window_ps=20_000,
)


def _block(window_ps: int) -> Judged:
    """Return what a link with much light shows at a window."""
    chance = 0.15 * window_ps
    metrics = Metrics(
        coincidence_rate_cps=27_000.0 + chance,
        accidental_rate_cps=chance,
        qber=Estimate(value=(270.0 + chance / 2) / (27_000.0 + chance)),
        histogram=delay_histogram(window_ps, 1, 200.0),
    )
    return Judged(1, float("inf"), metrics)


def _looked(
    section: WindowSection,
    in_force: Callable[[], LinkSection],
    set_window: Callable[[str, int], None],
    folder: Path,
) -> LoopView:
    async def scene() -> LoopView:
        kind = WindowLoop(TITLE, section, in_force, set_window, folder)
        runner = LoopRunner(kind, lambda *_: None)
        async with asyncio.timeout(120):
            loop = await runner.open([])
            for _ in range(3):
                runner.judged(_block(in_force().coincidence_window_ps))
                await runner.look(loop)
            await runner.seat.worker.call(loop.close)
        runner.seat.leave()
        return runner.seat.view()

    return asyncio.run(scene())


def test_a_window_that_is_far_too_wide_is_narrowed_within_its_limits(tmp_path: Path) -> None:
    held = [WIDE]

    def set_window(link: str, window_ps: int) -> None:
        assert link == "alice-bob"
        held.append(msgspec.structs.replace(held[-1], coincidence_window_ps=window_ps))

    view = _looked(WindowSection(low_ps=1500.0), lambda: held[-1], set_window, tmp_path)

    assert 20_000 > held[1].coincidence_window_ps > held[2].coincidence_window_ps
    assert 1500 <= held[-1].coincidence_window_ps < 3000
    assert view.axes[0].actual == held[-1].coincidence_window_ps
    assert view.settings_used >= 1
    assert_replayed(tmp_path, least=3)


def test_a_window_that_nobody_can_change_is_a_fault(tmp_path: Path) -> None:
    view = _looked(WindowSection(), lambda: WIDE, window_of_both, tmp_path)

    assert view.state is LoopState.FAULT
    assert "nobody is there" in view.message
    with pytest.raises(QnxError):
        window_of_both("alice-bob", 100)
