"""What is asked of a peer waits for others as long as they are answered, and for silence never."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from key_pairs import joined

from qnx_hw.errors import ChannelError
from qnx_hw.keys import desk
from qnx_hw.keys.desk import Desk, LinkEnd
from qnx_hw.keys.messages import Done, Fetched


class LeapingLoop(asyncio.SelectorEventLoop):
    """A loop whose clock leaps to whatever is due next."""

    def __init__(self) -> None:
        self.now_s = 1_000.0
        super().__init__(_Leaping(self))

    def time(self) -> float:
        return self.now_s


class _Leaping(selectors.DefaultSelector):
    def __init__(self, loop: LeapingLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> Any:
        self._loop.now_s += timeout or 0.0
        return super().select(0)


def play(scene: Callable[[Desk], Coroutine[Any, Any, None]]) -> None:
    at = Desk("bob", LinkEnd("alice-bob", 0))
    at.is_open = True
    with asyncio.Runner(loop_factory=LeapingLoop) as runner:
        runner.run(scene(at))


def test_time_spent_behind_others_does_not_count() -> None:
    async def scene(at: Desk) -> None:
        async with asyncio.TaskGroup() as tasks:
            for number in range(4):
                tasks.create_task(at.ask(Fetched("alice-bob", number)))
                await asyncio.sleep(0)
                if number == 0:
                    assert len(await at.next_batch(1.0)) == 1  # the others come behind it
            await asyncio.sleep(desk.ANSWER_DEADLINE_S * 0.75)
            at.settle([Done()])
            assert len(await at.next_batch(1.0)) == 3
            await asyncio.sleep(desk.ANSWER_DEADLINE_S * 0.75)
            at.settle([Done()] * 3)

    play(scene)


def test_a_silent_peer_is_given_up_and_nothing_more_is_cut_for_it() -> None:
    async def scene(at: Desk) -> None:
        async def ask() -> None:
            with pytest.raises(ChannelError, match="gave no answer in 2 s"):
                await at.ask(Fetched("alice-bob", 1))

        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(ask())
            assert len(await at.next_batch(1.0)) == 1
        await asyncio.sleep(0.1)
        with pytest.raises(ChannelError, match="ask again"), at.admitted(1):
            pass

    play(scene)


def test_who_would_wait_too_long_is_told_before_bits_are_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scenario() -> None:
        async with joined(tmp_path) as pair:
            await pair.alice.get("bob", 256)
            before = await pair.alice.stock_bits("bob")
            monkeypatch.setattr(desk, "LONGEST_QUEUE_S", 0.0)
            answers = await asyncio.gather(
                *(pair.alice.get("bob", 256) for _ in range(8)), return_exceptions=True
            )

            given = [answer for answer in answers if isinstance(answer, list)]
            refused = [answer for answer in answers if isinstance(answer, ChannelError)]
            assert (len(given), len(refused)) == (1, 7)
            assert all("ask again" in str(error) for error in refused)
            assert await pair.alice.stock_bits("bob") == before - 256

    asyncio.run(scenario())
