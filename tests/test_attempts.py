"""A loop that lives on through errors ends when it is told to, whatever fails in that moment."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from qnx_hw.attempts import attempt

DEADLINE_S = 60.0


class Broken(Exception):
    pass


async def _breaks_when_cancelled(began: asyncio.Event) -> None:
    async def breaks() -> None:
        try:
            began.set()
            await asyncio.Event().wait()
        finally:
            raise Broken

    async with asyncio.TaskGroup() as tasks:
        tasks.create_task(breaks())
        await asyncio.Event().wait()


async def _goes_on_when_cancelled(began: asyncio.Event) -> None:
    try:
        began.set()
        await asyncio.Event().wait()
    except asyncio.CancelledError:
        return


@pytest.mark.parametrize("work", [_breaks_when_cancelled, _goes_on_when_cancelled])
def test_a_loop_ends_though_its_attempt_breaks_in_that_moment(
    work: Callable[[asyncio.Event], Awaitable[None]],
) -> None:
    async def loop(began: asyncio.Event) -> None:
        while True:
            try:
                await attempt(work(began))
            except* Broken:
                pass

    async def scenario() -> None:
        began = asyncio.Event()
        running = asyncio.create_task(loop(began))
        async with asyncio.timeout(DEADLINE_S):
            await began.wait()
            running.cancel()
            await asyncio.wait([running])
        assert running.cancelled()

    asyncio.run(scenario())


def test_a_loop_outlives_any_number_of_broken_attempts() -> None:
    async def breaks() -> None:
        raise Broken

    async def in_a_group() -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(breaks())
            await asyncio.Event().wait()

    async def scenario() -> int:
        broken = 0
        async with asyncio.timeout(DEADLINE_S):
            while broken < 5:
                try:
                    await attempt(in_a_group())
                except* Broken:
                    broken += 1
        return broken

    assert asyncio.run(scenario()) == 5


def test_an_attempt_returns_what_its_work_returns() -> None:
    async def work() -> str:
        return "key"

    assert asyncio.run(attempt(work())) == "key"
