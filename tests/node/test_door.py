"""Bob's node shows each visitor to the right link, one at a time."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest

from qnx_hw.errors import ChannelError
from qnx_hw.node.door import DialedWay, Doorman, OpenedWay
from qnx_hw.node.peer_link import Greeting, listening

BOB = Greeting(link="alice-bob", node="bob", secret_identity="0123")
ALICE = msgspec.structs.replace(BOB, node="alice")


@asynccontextmanager
async def door(way: OpenedWay) -> AsyncIterator[str]:
    async with listening("127.0.0.1:0") as listener, asyncio.TaskGroup() as tasks:
        serving = tasks.create_task(Doorman("bob", {"alice-bob": way}).serve(listener))
        try:
            yield listener.address
        finally:
            serving.cancel()


def visit(greeting: Greeting, *, is_open: bool = True) -> bytes:
    async def scenario() -> bytes:
        way = OpenedWay(BOB)
        async with asyncio.timeout(120), door(way) as address, asyncio.TaskGroup() as tasks:

            async def wait() -> bytes:
                async with way.channel() as channel:
                    return await channel.receive()

            waiting = tasks.create_task(wait()) if is_open else None
            await asyncio.sleep(0)
            try:
                async with DialedWay(address, greeting).channel() as channel:
                    await channel.send(b"hello")
                    assert waiting is not None
                    return await waiting
            except ChannelError as error:
                if waiting is not None:
                    waiting.cancel()
                return str(error).encode()

    return asyncio.run(scenario())


def test_a_fitting_visitor_is_let_in() -> None:
    assert visit(ALICE) == b"hello"


@pytest.mark.parametrize(
    ("greeting", "is_open", "words"),
    [
        (msgspec.structs.replace(ALICE, link="other"), True, b"no link 'other' ends here"),
        (msgspec.structs.replace(ALICE, secret_identity="9"), True, b"qnx keys init"),
        (ALICE, False, b"stopped here, or connected already"),
    ],
)
def test_others_are_told_why_not(greeting: Greeting, is_open: bool, words: bytes) -> None:
    assert words in visit(greeting, is_open=is_open)
