"""Messages cross the classical channel whole and in order, or the channel says why not."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from qnx_hw.errors import ChannelError
from qnx_hw.node.peer_link import (
    MAX_MESSAGE_BYTES,
    Channel,
    Greeting,
    dial,
    listening,
    refuse,
    split_address,
)

ANYWHERE = "127.0.0.1:0"
ALICE = Greeting(link="alice-bob", node="alice", secret_identity="0123")
BOB = msgspec.structs.replace(ALICE, node="bob")


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[Channel, Channel]]:
    async with listening(ANYWHERE) as listener, asyncio.TaskGroup() as tasks:

        async def answer() -> Channel:
            channel = await listener.accept()
            assert await channel.greeting() == ALICE
            await channel.greet(BOB)
            return channel

        accepted = tasks.create_task(answer())
        async with dial(listener.address, ALICE) as alice:
            bob = await accepted
            try:
                yield alice, bob
            finally:
                await bob.close()


@settings(max_examples=20, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=300), max_size=20))
def test_messages_arrive_whole_and_in_order(messages: list[bytes]) -> None:
    async def scenario() -> list[bytes]:
        async with joined() as (alice, bob):
            for message in messages:
                await alice.send(message)
            return [await bob.receive() for _ in messages]

    assert asyncio.run(scenario()) == messages


def test_signs_of_life_are_not_messages() -> None:
    async def scenario() -> bytes:
        async with joined() as (alice, bob), asyncio.timeout(120):
            keeper = asyncio.TaskGroup()
            async with keeper:
                alive = keeper.create_task(alice.keep_alive())
                waiting = keeper.create_task(bob.receive())
                await asyncio.wait([waiting], timeout=1.5)
                await alice.send(b"hello")
                message = await waiting
                alive.cancel()
            return message

    assert asyncio.run(scenario()) == b"hello"


def test_the_round_trip_is_measured_once_the_peer_listens() -> None:
    async def scenario() -> tuple[float | None, float | None]:
        async with joined() as (alice, bob), asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            before = alice.round_trip_s
            alive = tasks.create_task(alice.keep_alive())
            await asyncio.sleep(0)  # the first sign of life leaves before the message does
            await alice.send(b"hello")
            assert await bob.receive() == b"hello"
            await bob.send(b"enough")
            assert await alice.receive() == b"enough"
            alive.cancel()
            return before, alice.round_trip_s

    before, after = asyncio.run(scenario())

    assert before is None
    assert after is not None
    assert 0.0 < after < 20.0


def test_an_answer_that_nothing_asked_for_measures_nothing() -> None:
    async def scenario() -> float | None:
        async with joined() as (alice, bob), asyncio.timeout(120):
            bob._writer.write(struct.pack(">I", 0xFFFF_FFFE))
            await bob.send(b"hello")
            await alice.receive()
            return alice.round_trip_s

    assert asyncio.run(scenario()) is None


def test_a_peer_that_leaves_is_noticed() -> None:
    async def scenario() -> None:
        async with joined() as (alice, bob):
            await bob.close()
            with pytest.raises(ChannelError, match="closed"):
                await alice.receive()

    asyncio.run(scenario())


def test_an_announced_length_beyond_the_limit_is_refused() -> None:
    async def scenario() -> None:
        async with listening(ANYWHERE) as listener:
            host, port = split_address(listener.address)
            _, writer = await asyncio.open_connection(host, port)
            channel = await listener.accept()
            writer.write(struct.pack(">I", MAX_MESSAGE_BYTES + 1))
            try:
                await channel.receive()
            finally:
                writer.close()
                await channel.close()

    with pytest.raises(ChannelError, match="announced"):
        asyncio.run(scenario())


def test_something_else_than_a_greeting_is_refused() -> None:
    async def scenario() -> None:
        async with listening(ANYWHERE) as listener:
            host, port = split_address(listener.address)
            _, writer = await asyncio.open_connection(host, port)
            channel = await listener.accept()
            writer.write(struct.pack(">I", 4) + b"GET ")
            try:
                await channel.greeting()
            finally:
                writer.close()
                await channel.close()

    with pytest.raises(ChannelError, match="link protocol"):
        asyncio.run(scenario())


def test_nobody_at_the_address_is_told_in_words() -> None:
    async def scenario() -> None:
        async with listening(ANYWHERE) as listener:
            pass
        async with dial(listener.address, ALICE):
            pass

    with pytest.raises(ChannelError, match="no peer at"):
        asyncio.run(scenario())


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"version": 99}, "version"),
        ({"link": "other"}, "link"),
        ({"node": "alice"}, "both ends"),
        ({"secret_identity": "other"}, "qnx keys init"),
    ],
)
def test_greetings_that_do_not_fit_are_refused_at_both_ends(
    change: dict[str, object], word: str
) -> None:
    other = msgspec.structs.replace(BOB, **change)

    assert word in refuse(ALICE, other)
    assert word in refuse(other, ALICE)


def test_fitting_greetings_are_not_refused() -> None:
    assert refuse(ALICE, BOB) == ""
