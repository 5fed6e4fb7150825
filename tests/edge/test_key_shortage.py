"""Keys change under load without loss, and what happens when there are none is what was asked."""

import asyncio
import contextlib
import secrets
import socket
import time
from dataclasses import replace
from pathlib import Path

import pytest
from common_keys import CommonKeys
from edge_net import ALL_PUMPS, EdgeNet, connect, edge_net, exchange, until
from hostile_wire import hostile_wire
from scenes import play

from qnx_hw.api.traffic import KeyPolicy, TunnelState
from qnx_hw.edge.handshake import Mode
from qnx_hw.edge.keysource import KeySource, SharedKey, SharedPad, Stock
from qnx_hw.edge.pages import BATCH_BYTES
from qnx_hw.edge.reports import state_of
from qnx_hw.edge.session import Session
from qnx_hw.edge.spool import SpoolRoom
from qnx_hw.edge.traffic import Line, Traffic
from qnx_hw.secret import Secret

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
DIRECT = [("alice", "bob")]


def line_of(net: EdgeNet) -> Line:
    return net.edges["alice"].lines["t", True]


async def ask(user: socket.socket, octets: bytes) -> bytes:
    """Send something and return as much of the echo."""

    def both() -> bytes:
        user.sendall(octets)
        received = bytearray()
        while len(received) < len(octets):
            received += user.recv(1 << 16)
        return bytes(received)

    return await asyncio.to_thread(both)


async def expire(net: EdgeNet) -> None:
    """Make Alice's key as old as it may get."""
    line = line_of(net)
    line.keys.now = lambda: float("1e9")
    for session in line.sessions:
        session.look_around()  # compiled loops know when the key ends, not that the clock leapt
    await line.keys.renew()


@pytest.mark.slow
@ALL_PUMPS
def test_many_epochs_pass_under_load_and_not_a_byte_is_lost(pump: str) -> None:
    octets = secrets.token_bytes(20_000_000)

    async def scene() -> None:
        traffic = replace(ECHO, rekey_bytes=300_000)
        async with edge_net(DIRECT, [traffic], pump=pump) as net:
            user, session = await connect(net.edges["alice"], traffic)
            assert await exchange(user, octets) == octets

            assert session.keys.epoch >= 3
            assert session.keys.peer_epoch >= 3
            assert session.counters.circuits == 1

    play(scene)


@pytest.mark.parametrize("policy", list(KeyPolicy))
def test_without_a_first_key_a_session_waits_for_one(policy: KeyPolicy) -> None:
    async def scene() -> None:
        traffic = replace(ECHO, policy=policy)
        async with edge_net(DIRECT, [traffic]) as net:
            net.keys.stock_bytes.clear()
            async with asyncio.TaskGroup() as tasks:
                opening = tasks.create_task(connect(net.edges["alice"], traffic))
                await until(lambda: ("t", True) in net.edges["alice"].lines)
                await until(lambda: "no key" in line_of(net).message)
                net.keys.give("alice", "bob", 1000)
                user, _ = await opening
            assert await exchange(user, b"late") == b"late"

    play(scene)


async def short_of_key(net: EdgeNet, traffic: Traffic) -> tuple[socket.socket, Session]:
    user, session = await connect(net.edges["alice"], traffic)
    assert await ask(user, b"before") == b"before"
    net.keys.stock_bytes.clear()
    await expire(net)
    return user, session


@ALL_PUMPS
def test_block_holds_the_user_until_there_is_key(pump: str) -> None:
    async def scene() -> None:
        traffic = replace(ECHO, policy=KeyPolicy.BLOCK)
        async with edge_net(DIRECT, [traffic], pump=pump) as net:
            user, session = await short_of_key(net, traffic)
            assert "no key" in line_of(net).keys.describe()
            async with asyncio.TaskGroup() as tasks:
                answer = tasks.create_task(ask(user, b"after"))
                await until(lambda: session.waits_for_key_since_s is not None)
                assert not answer.done()
                net.keys.give("alice", "bob", 1000)
                await line_of(net).keys.renew()
                assert await answer == b"after"
            assert line_of(net).keys.describe() == ""
            user.close()

    play(scene)


def test_store_takes_the_user_to_disk_sealed_and_sends_it_in_order(tmp_path: Path) -> None:
    words, octets = b"nobody may read this", secrets.token_bytes(3_000_000)

    async def scene() -> None:
        traffic = replace(ECHO, policy=KeyPolicy.STORE)
        async with edge_net(DIRECT, [traffic]) as net:
            net.edges["alice"].spools = SpoolRoom(tmp_path / "spool", 10_000_000, 3600.0)
            user, session = await short_of_key(net, traffic)
            spool = session.spool
            assert spool is not None
            async with asyncio.TaskGroup() as tasks:
                sending = tasks.create_task(
                    asyncio.to_thread(user.sendall, words * 60_000 + octets)
                )
                await until(lambda: spool.waiting_bytes == 20 * 60_000 + len(octets))
                await sending
                state, message = state_of(line_of(net))
                assert (state, "store" in message) == (TunnelState.DEGRADED, True)
                on_disk = b"".join(each.read_bytes() for each in (tmp_path / "spool").iterdir())
                assert len(on_disk) > 4_000_000
                assert words not in on_disk
                net.keys.give("alice", "bob", 1000)
                await line_of(net).keys.renew()
                assert await exchange(user, b"!") == b"".join([words * 60_000, octets, b"!"])
            await until(lambda: not line_of(net).sessions)
            assert not list((tmp_path / "spool").iterdir())  # a session is over after its spool

    play(scene)


def test_store_has_limits_of_bytes_and_of_age(tmp_path: Path) -> None:
    async def scene() -> None:
        traffic = replace(ECHO, policy=KeyPolicy.STORE)
        late_s = 0.0
        room = SpoolRoom(tmp_path / "spool", 100_000, 60.0, lambda: time.monotonic() + late_s)
        async with edge_net(DIRECT, [traffic]) as net:
            net.edges["alice"].spools = room
            user, session = await short_of_key(net, traffic)
            user.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                while True:
                    user.send(bytes(100_000))
            await until(lambda: session.is_full)
            assert session.spool is not None
            assert 100_000 <= session.spool.waiting_bytes <= 100_000 + BATCH_BYTES
            assert state_of(line_of(net))[0] is TunnelState.BLOCKED

            late_s = 61.0
            await until(lambda: not line_of(net).sessions)
            assert "queue_age_s" in session.reason
            assert room.take(1 << 30) == 100_000
            user.close()

    play(scene)


@ALL_PUMPS
def test_stretch_goes_on_with_the_old_key_and_says_so(pump: str) -> None:
    async def scene() -> None:
        traffic = replace(ECHO, policy=KeyPolicy.STRETCH)
        async with edge_net(DIRECT, [traffic], pump=pump) as net:
            user, session = await connect(net.edges["alice"], traffic)
            net.keys.stock_bytes.clear()
            line = line_of(net)
            born_s = line.keys.newest.born_s if line.keys.newest else 0.0
            line.keys.now = lambda: born_s + 61.0
            await line.keys.renew()

            assert await ask(user, b"stretched") == b"stretched"
            assert "stretch" in line.keys.describe()
            assert session.keys.epoch == 0
            line.keys.now = lambda: born_s + 3601.0
            assert not line.keys.is_usable()
            user.close()

    play(scene)


@ALL_PUMPS
def test_hybrid_goes_on_with_a_key_of_ml_kem_and_says_so(pump: str) -> None:
    async def scene() -> None:
        traffic = replace(ECHO, policy=KeyPolicy.HYBRID)
        async with edge_net(DIRECT, [traffic], pump=pump) as net:
            user, session = await connect(net.edges["alice"], traffic)
            net.keys.stock_bytes.clear()
            line = line_of(net)
            born_s = line.keys.newest.born_s if line.keys.newest else 0.0
            line.keys.now = lambda: born_s + 61.0
            await line.keys.renew()

            for _ in range(3):
                assert await ask(user, b"hybrid" * 100) == b"hybrid" * 100
            assert session.keys.epoch == 1
            assert "not quantum" in line.keys.describe()
            user.close()

    play(scene)


def test_a_pad_that_runs_dry_stops_the_sender_until_there_is_more() -> None:
    async def scene() -> None:
        traffic = replace(ECHO, mode=Mode.OTP, mix_kem=False)
        async with edge_net(DIRECT, [traffic]) as net:
            user, session = await connect(net.edges["alice"], traffic)
            assert await ask(user, b"dry soon") == b"dry soon"
            net.keys.stock_bytes["alice", "bob"] = 0
            async with asyncio.TaskGroup() as tasks:
                answer = tasks.create_task(ask(user, b"x" * 500))
                await until(lambda: session.waits_for_key_since_s is not None)
                net.keys.give("alice", "bob", 10_000)
                assert await answer == b"x" * 500
            user.close()

    play(scene)


class SlowPads(KeySource):
    """Bob's keys; the pads come when `come` is set."""

    def __init__(self, keys: KeySource) -> None:
        self._keys = keys
        self.asked, self.come = asyncio.Event(), asyncio.Event()

    async def fresh(self, peer: str) -> SharedKey:
        return await self._keys.fresh(peer)

    async def fetch(self, peer: str, key_id: str) -> Secret:
        return await self._keys.fetch(peer, key_id)

    async def take_pad(self, peer: str, n_bytes: int) -> SharedPad:
        return await self._keys.take_pad(peer, n_bytes)

    async def pad_at(self, peer: str, address: int, n_bytes: int) -> Secret:
        if n_bytes > 1000:
            self.asked.set()
            await self.come.wait()
        return await self._keys.pad_at(peer, address, n_bytes)

    def stock(self, peer: str) -> Stock:
        return self._keys.stock(peer)


def test_a_circuit_is_lost_and_replaced_while_a_record_waits_for_its_pad() -> None:
    async def scene() -> None:
        traffic = replace(ECHO, mode=Mode.OTP, mix_kem=False)
        keys = CommonKeys()
        slow = SlowPads(keys.of("bob"))
        sources = {"alice": keys.of("alice"), "bob": slow}
        made = edge_net(DIRECT, [traffic], sources)
        async with made as net, hostile_wire(net.ports["bob"]) as (wire, port):
            keys.give("alice", "bob", 100_000)
            net.edges["alice"].hops["bob"].address = ("127.0.0.1", port)
            user, session = await connect(net.edges["alice"], traffic)
            octets = secrets.token_bytes(4000)
            async with asyncio.TaskGroup() as tasks:
                echoed = tasks.create_task(exchange(user, octets))
                await slow.asked.wait()
                wire.cut()
                await until(lambda: bool(net.edges["bob"]._resuming.attempts))
                slow.come.set()

            assert echoed.result() == octets
            assert session.counters.circuits >= 2
            assert net.edges["bob"].lines["t", False].totals().failures == 0

    play(scene)
