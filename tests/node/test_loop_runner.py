"""When a loop looks and what it tells: blocks that saw a move are left out, a loss is priced."""

from __future__ import annotations

import asyncio
import math
import re
from collections.abc import Callable, Sequence

import pytest

from qnx_hw.api.loops import ActuatorAxis, LoopState
from qnx_hw.control.loop import Actuation, Loop, Title
from qnx_hw.control.policy import Decision, Policy
from qnx_hw.control.source import MeansSeen
from qnx_hw.node.bank import Mounted
from qnx_hw.node.judged import Judged
from qnx_hw.node.loop_runner import LoopRunner, NodeLoop, Plan
from qnx_hw.qkd.session import Metrics

TITLE = Title("alice-bob attenuation", "alice", "alice-bob", "attenuation")
S, T = LoopState.SEARCHING, LoopState.TRACKING


class Scripted(Policy[MeansSeen]):
    """Says one state after the other; searching moves the axis."""

    def __init__(self, states: Sequence[LoopState]) -> None:
        self._states = list(states)

    def restart(self) -> None:
        return

    def observe(self, seen: MeansSeen) -> Decision:
        state = self._states.pop(0)
        return Decision(state, (seen.values[0] + 1.0,) if state is S else None, "as it was told")


class Axis(Actuation):
    """One axis that goes wherever it is sent."""

    def __init__(self) -> None:
        self.at = (0.0,)

    def axes(self) -> tuple[ActuatorAxis, ...]:
        return (ActuatorAxis(name="a", unit="dB", low=0.0, high=9.0),)

    def positions(self) -> tuple[float, ...]:
        return self.at

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        self.at = values
        return values

    def make_safe(self) -> None:
        return


class Kind(NodeLoop):
    """A loop on that axis."""

    def __init__(self, states: Sequence[LoopState], *, starts_held: bool = False) -> None:
        self.plan = Plan(TITLE, (), "scripted", starts_held=starts_held)
        self.axis = Axis()
        self._states = states

    def open(self, mounted: Sequence[Mounted]) -> Loop[MeansSeen]:
        return Loop(
            TITLE, self.axis, lambda name, target: Scripted(self._states), algorithms=("scripted",)
        )

    def look(self, judged: Judged | None) -> Callable[[tuple[float, ...]], MeansSeen] | None:
        return lambda values: MeansSeen(values, (0.5,), (0.0,))


def _run(kind: Kind, blocks: Sequence[Judged], then: str = "") -> list[str]:
    told: list[str] = []

    async def scene() -> None:
        runner = LoopRunner(kind, lambda level, source, words, about="": told.append(words))
        async with asyncio.timeout(120):
            loop = await runner.open([])
            for block in blocks:
                runner.judged(block)
                await runner.look(loop)
            if then:
                await getattr(runner.seat, then)()
                runner.judged(blocks[-1])
                await runner.look(loop)
        runner.seat.leave()

    asyncio.run(scene())
    return told


def _block(began_s: float) -> Judged:
    return Judged(1, began_s, Metrics(secret_rate_bps=1e9))


def test_a_loss_is_told_with_its_time_and_key() -> None:
    kind = Kind([T, S, S, T])

    told = _run(kind, [_block(math.inf)] * 4)

    assert [words.partition(":")[0] for words in told] == ["tracking", "searching", "tracking"]
    assert "back after" not in told[0]
    assert re.search(r"; back after \d+\.\d+ s", told[2])
    assert "bits of key would have been made" in told[2]
    assert kind.axis.at == (2.0,)


def test_blocks_that_began_before_the_last_move_are_left_out() -> None:
    kind = Kind([S, T])

    told = _run(kind, [_block(math.inf), _block(0.0), _block(0.0)])

    assert told == ["searching: as it was told"]
    assert kind.axis.at == (1.0,)


@pytest.mark.parametrize(("then", "moved"), [("", 0.0), ("resume", 1.0)])
def test_a_loop_that_starts_held_waits_for_its_operator(then: str, moved: float) -> None:
    kind = Kind([S, S, S], starts_held=True)

    _run(kind, [_block(math.inf)] * 2, then)

    assert kind.axis.at == (moved,)
