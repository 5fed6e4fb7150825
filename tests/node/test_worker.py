"""Work off the loop comes back in order, errors included, and never holds up the end."""

from __future__ import annotations

import asyncio
import threading

import pytest

from qnx_hw.node.worker import Worker


def test_calls_run_one_after_another_off_the_loop() -> None:
    async def scenario() -> tuple[list[int], set[str]]:
        worker, order, names = Worker("bench"), [], set()

        def work(number: int) -> None:
            order.append(number)
            names.add(threading.current_thread().name)

        async with asyncio.TaskGroup() as tasks:
            for number in range(20):
                tasks.create_task(worker.call(work, number))
        worker.close()
        return order, names

    assert asyncio.run(scenario()) == (list(range(20)), {"bench"})


def test_errors_are_raised_where_they_are_awaited() -> None:
    async def scenario() -> None:
        worker = Worker("bench")
        try:
            await worker.call(int, "seven")
        finally:
            worker.close()

    with pytest.raises(ValueError, match="seven"):
        asyncio.run(scenario())


def test_a_long_computation_does_not_hold_up_the_end() -> None:
    release = threading.Event()

    async def scenario() -> None:
        worker = Worker("bench")
        async with asyncio.timeout(0.05):
            await worker.call(release.wait, 60.0)

    with pytest.raises(TimeoutError):
        asyncio.run(scenario())
    release.set()
