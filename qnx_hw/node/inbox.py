"""What waits for a link's session: the station's tags and the peer's messages, as they came."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import deque
from typing import TypeAlias

from qnx_hw.errors import ChannelError
from qnx_hw.instruments.tags import TagBlock
from qnx_hw.node.peer_link import Channel
from qnx_hw.node.tags import TagFeed

WAITING_INPUTS = 64
"""Tag blocks and messages that may wait for the session; then their sources are held up."""


class Stop:
    """Asks the session to end in good order."""


Given: TypeAlias = TagBlock | list[bytes] | Stop


class Inbox:
    """One row of inputs for one session; one task takes from it."""

    def __init__(self) -> None:
        self._waiting: asyncio.Queue[TagBlock | bytes | Stop | ChannelError] = asyncio.Queue(
            WAITING_INPUTS
        )
        self._held: deque[TagBlock | Stop | ChannelError] = deque()

    async def listen(self, channel: Channel) -> None:
        """Take what the peer says, and last why it says no more."""
        try:
            while True:
                await self._waiting.put(await channel.receive())
        except ChannelError as error:
            await self._waiting.put(error)

    async def gather(self, feed: TagFeed) -> None:
        """Take the tags, their time counted from the session's start.

        Both ends begin a session within moments, whenever their taggers were started; counted from
        there, the clocks differ by less than `clock_offset_limit_s`.
        """
        origin_ps: int | None = None
        async for block in feed.blocks():
            origin_ps = block.start_ps if origin_ps is None else origin_ps
            await self._waiting.put(
                dataclasses.replace(
                    block,
                    times_ps=block.times_ps - origin_ps,
                    start_ps=block.start_ps - origin_ps,
                    end_ps=block.end_ps - origin_ps,
                )
            )

    async def stop(self) -> None:
        """Ask the session to end once it has taken what came before."""
        await self._waiting.put(Stop())

    async def take(self) -> Given:
        """Return the next input, messages that came one after the other together.

        `ChannelError` where the peer says no more.
        """
        first = self._held.popleft() if self._held else await self._waiting.get()
        if isinstance(first, ChannelError):
            raise first
        if not isinstance(first, bytes):
            return first
        came = [first]
        while not self._held and not self._waiting.empty():
            following = self._waiting.get_nowait()
            if isinstance(following, bytes):
                came.append(following)
            else:
                self._held.append(following)
        return came
