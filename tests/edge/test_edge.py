"""Users' bytes arrive as they were sent, through relays, cuts, and keys that change on the way."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest
from edge_net import connect, edge_net, exchange

from qnx_hw.edge.handshake import Mode
from qnx_hw.edge.traffic import Traffic

DEADLINE_S = 60.0
ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
DIRECT = [("alice", "bob")]
CHAIN = [("alice", "carol"), ("carol", "bob")]
DIAMOND = [("alice", "carol"), ("carol", "bob"), ("alice", "dora"), ("dora", "bob")]


def play(scene: Callable[[], Awaitable[None]]) -> None:
    async def limited() -> None:
        async with asyncio.timeout(DEADLINE_S):
            await scene()

    asyncio.run(limited())


@pytest.mark.parametrize("lines", [DIRECT, CHAIN])
@pytest.mark.parametrize("mix_kem", [True, False])
def test_bytes_come_back_as_they_were_sent(lines: list[tuple[str, str]], mix_kem: bool) -> None:
    octets = secrets.token_bytes(3_000_000)

    async def scene() -> None:
        traffic = replace(ECHO, mix_kem=mix_kem)
        async with edge_net(lines, [traffic]) as net:
            user, session = await connect(net.edges["alice"], traffic)
            assert await exchange(user, octets) == octets
            assert session.path == ("alice", *(["carol"] if lines is CHAIN else []), "bob")

    play(scene)


def test_a_one_time_pad_carries_a_message() -> None:
    async def scene() -> None:
        traffic = replace(ECHO, mode=Mode.OTP, mix_kem=False)
        async with edge_net(DIRECT, [traffic]) as net:
            user, _ = await connect(net.edges["alice"], traffic)
            assert await exchange(user, b"attack at dawn" * 50) == b"attack at dawn" * 50

    play(scene)
