"""Users' bytes arrive as they were sent, through relays, cuts, and keys that change on the way."""

import asyncio
import secrets
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from edge_net import PUMPS, connect, edge_net, exchange
from scenes import play

from qnx_hw.edge.circuits import connecting
from qnx_hw.edge.handshake import Mode
from qnx_hw.edge.traffic import Traffic

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
DIRECT = [("alice", "bob")]
CHAIN = [("alice", "carol"), ("carol", "bob")]
DIAMOND = [("alice", "carol"), ("carol", "bob"), ("alice", "dora"), ("dora", "bob")]


@pytest.mark.parametrize("lines", [DIRECT, CHAIN])
@pytest.mark.parametrize("mix_kem", [True, False])
@pytest.mark.parametrize("pump", PUMPS)
def test_bytes_come_back_as_they_were_sent(
    lines: list[tuple[str, str]], mix_kem: bool, pump: str
) -> None:
    octets = secrets.token_bytes(3_000_000)

    async def scene() -> None:
        traffic = replace(ECHO, mix_kem=mix_kem)
        async with edge_net(lines, [traffic], pump=pump) as net:
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


def test_a_session_that_ends_while_its_circuit_is_lost_stops_nobody() -> None:
    async def scene() -> None:
        async with edge_net(CHAIN, [ECHO]) as net:
            alice = net.edges["alice"]
            left, ended = await connect(alice, ECHO)
            left.close()
            ended.lose()
            asyncio.get_running_loop().call_soon(alice._over_here, ended)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            ended.finish("the user left")

            user, _ = await connect(alice, ECHO)
            assert await exchange(user, b"still here") == b"still here"

    play(scene)


def test_a_circuit_for_a_session_that_is_over_is_closed() -> None:
    async def scene() -> None:
        async with edge_net(DIRECT, [ECHO]) as net:
            left, session = await connect(net.edges["alice"], ECHO)
            left.close()
            session.finish("the user left")
            late, other = socket.socketpair()

            session.attach(late, 1)

            assert late.fileno() == -1
            other.close()

    play(scene)


def test_an_address_in_numbers_waits_for_no_thread() -> None:
    async def scene() -> None:
        free = threading.Event()
        with socket.create_server(("127.0.0.1", 0)) as listener, ThreadPoolExecutor(1) as threads:
            asyncio.get_running_loop().set_default_executor(threads)
            busy = threads.submit(free.wait)
            async with connecting(listener.getsockname()) as circuit:
                circuit.close()
            assert not busy.done()
            free.set()

    play(scene)
