"""Playing a scene on an event loop of its own, within a time that no machine needs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

DEADLINE_S = 120.0


def play(scene: Callable[[], Awaitable[None]]) -> None:
    """Run a scene to its end; `TimeoutError` where it takes longer than the deadline."""

    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scene()

    asyncio.run(limited())
