"""How the two ends of a link find each other: Alice's node dials, Bob's node opens."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Protocol

from qnx_hw.errors import ChannelError
from qnx_hw.node.peer_link import Channel, Greeting, Listener, dial, refuse


class Way(Protocol):
    """The way to a link's peer."""

    @abstractmethod
    def channel(self) -> AbstractAsyncContextManager[Channel]:
        """Open a greeted channel; waits for the peer or raises `ChannelError`."""


class DialedWay(Way):
    """Calls the peer's node at its address."""

    def __init__(self, address: str, greeting: Greeting) -> None:
        self._address = address
        self._greeting = greeting

    def channel(self) -> AbstractAsyncContextManager[Channel]:
        return dial(self._address, self._greeting)


class OpenedWay(Way):
    """Waits at the door for the peer; one at a time, who comes meanwhile is turned away."""

    def __init__(self, greeting: Greeting) -> None:
        self._greeting = greeting
        self._visitor: asyncio.Future[Channel] | None = None

    @asynccontextmanager
    async def channel(self) -> AsyncIterator[Channel]:
        visitor = self._visitor = asyncio.get_running_loop().create_future()
        try:
            channel = await visitor
        except asyncio.CancelledError:
            if not visitor.cancelled():
                visitor.result().abort()
            raise
        finally:
            self._visitor = None
        try:
            await channel.greet(self._greeting)
            yield channel
        finally:
            await channel.close()

    def admit(self, theirs: Greeting, channel: Channel) -> str:
        """Hand over a visitor's channel, or return why not."""
        if refusal := refuse(self._greeting, theirs):
            return refusal
        if self._visitor is None or self._visitor.done():
            return f"link '{theirs.link}' is stopped here, or connected already"
        self._visitor.set_result(channel)
        return ""


class Doorman:
    """Receives all peers of a node and shows each to its link."""

    def __init__(self, node: str, ways: Mapping[str, OpenedWay]) -> None:
        self._node = node
        self._ways = ways

    async def serve(self, listener: Listener) -> None:
        """Admit visitors until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                channel = await listener.accept()
                tasks.create_task(self._receive(channel), name=f"visitor of {self._node}")

    async def _receive(self, channel: Channel) -> None:
        try:
            theirs = await channel.greeting()
            way = self._ways.get(theirs.link)
            refusal = way.admit(theirs, channel) if way else f"no link '{theirs.link}' ends here"
            if refusal:
                answer = Greeting(
                    link=theirs.link[:63], node=self._node, secret_identity="", refusal=refusal
                )
                await channel.greet(answer)
                await channel.close()
        except ChannelError:
            await channel.close()
