"""What a way that cuts, flips, repeats and drops can do to a session: delay it."""

import asyncio
import contextlib
import secrets
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest
from edge_capture import first_message, read_capture, sessions_of
from edge_net import ALL_PUMPS, EdgeNet, connect, edge_net, exchange, until
from hostile_wire import HostileWire, hostile_wire
from scenes import play

from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import ChannelError

ECHO = Traffic(name="t", service="echo", source="alice", destination="bob")
DIAMOND = [("alice", "carol"), ("carol", "bob"), ("alice", "dora"), ("dora", "bob")]
OCTETS = secrets.token_bytes(4_000_000)


@asynccontextmanager
async def wired(pump: str = "threads") -> AsyncIterator[tuple[EdgeNet, HostileWire]]:
    """Alice reaches Bob through a hostile wire; Bob does not reach Alice at all."""
    made = edge_net([("alice", "bob")], [ECHO], pump=pump)
    async with made as net, hostile_wire(net.ports["bob"]) as (wire, port):
        net.edges["alice"].hops["bob"].address = ("127.0.0.1", port)
        yield net, wire


def flip(piece: bytes) -> bytes:
    return piece[:-1] + bytes([piece[-1] ^ 1])


@pytest.mark.parametrize(
    "change",
    [flip, lambda piece: piece + piece[-200:], lambda piece: piece[100:], lambda piece: b""],
    ids=["flipped", "repeated", "truncated", "dropped"],
)
@pytest.mark.parametrize("way", ["out", "back"])
@ALL_PUMPS
def test_changed_bytes_are_refused_counted_and_repeated(
    change: Callable[[bytes], bytes], way: str, pump: str
) -> None:
    async def scene() -> None:
        async with wired(pump) as (net, wire):
            passed = 0
            changed = False

            def tamper(number: int, direction: str, piece: bytes) -> bytes:
                nonlocal passed, changed
                if direction == way and len(piece) > 1000:
                    passed += len(piece)
                    if passed > 1_000_000 and not changed:
                        changed = True
                        return change(piece)
                return piece

            wire.tamper = tamper
            user, session = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, OCTETS) == OCTETS

            assert changed
            failures = sum(
                line.totals().failures
                for edge in net.edges.values()
                for line in edge.lines.values()
            )
            assert failures >= 1
            assert session.counters.circuits >= 2

    play(scene)


@ALL_PUMPS
def test_a_cut_wire_is_replaced_and_nothing_is_lost(pump: str) -> None:
    async def scene() -> None:
        async with wired(pump) as (net, wire):
            passed, cuts = 0, 0

            def tamper(number: int, direction: str, piece: bytes) -> bytes:
                nonlocal passed, cuts
                passed += len(piece)
                if passed > 1_500_000 * (cuts + 1) and cuts < 4:
                    cuts += 1
                    wire.cut()
                return piece

            wire.tamper = tamper
            user, session = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, OCTETS) == OCTETS

            assert cuts == 4
            assert session.counters.circuits >= 4
            assert session.counters.failures == 0

    play(scene)


@ALL_PUMPS
def test_an_end_is_good_even_where_the_circuit_breaks_before_the_last_word(pump: str) -> None:
    async def scene() -> None:
        async with wired(pump) as (net, wire):
            far, theirs = socket.socketpair()

            async def serve(traffic: Traffic) -> socket.socket:
                return theirs

            net.edges["bob"].services["echo"] = serve
            near, here = await connect(net.edges["alice"], ECHO)
            with near, far:
                far.shutdown(socket.SHUT_WR)
                assert await asyncio.to_thread(near.recv, 1) == b""
                (there,) = net.edges["bob"]._sessions.values()
                (circuit,) = (
                    number
                    for (number, way), octets in wire.captured.items()
                    if way == "out" and b"session" in first_message(bytes(octets))
                )
                wire.tamper = lambda number, way, piece: (
                    b"" if (number, way) == (circuit, "back") else piece
                )
                near.shutdown(socket.SHUT_WR)
                await until(lambda: there.talk.is_finished)
                wire.tamper = lambda number, way, piece: piece
                wire.cut()
                await until(lambda: here.is_over.is_set() and there.is_over.is_set())
                assert (here.reason, there.reason) == ("", "")

    play(scene)


def test_a_wire_cut_before_the_first_record_arrives_is_replaced() -> None:
    async def scene() -> None:
        async with wired() as (net, wire):
            cuts = 0

            def tamper(number: int, direction: str, piece: bytes) -> bytes:
                nonlocal cuts
                asked = bytes(wire.captured[number, "out"])
                is_session = direction == "out" and b"session" in first_message(asked)
                if is_session and len(asked) > 4 + len(first_message(asked)) and not cuts:
                    cuts += 1
                    wire.cut()
                    return b""
                return piece

            wire.tamper = tamper
            user, session = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, OCTETS[:100_000]) == OCTETS[:100_000]

            assert cuts == 1
            assert session.counters.circuits >= 2

    play(scene)


def test_no_nonce_protects_two_texts_and_no_key_opens_two_sessions() -> None:
    async def scene() -> None:
        async with wired() as (net, wire):
            cuts = 0

            def tamper(number: int, direction: str, piece: bytes) -> bytes:
                nonlocal cuts
                if cuts < 3 and len(wire.captured[number, direction]) > 700_000:
                    cuts += 1
                    wire.cut()
                return piece

            wire.tamper = tamper
            for _ in range(2):
                user, _ = await connect(net.edges["alice"], ECHO)
                assert await exchange(user, OCTETS[:1_500_000]) == OCTETS[:1_500_000]
            capture = read_capture(wire)

            assert len(capture.hellos) == 2
            assert len({hello.nonce for hello in capture.hellos.values()}) == 2
            assert capture.repeated
            assert capture.reused == []
            assert len(net.keys.handed_out) == len(set(net.keys.handed_out))

    play(scene)


def test_a_replayed_session_is_never_served() -> None:
    async def scene() -> None:
        async with wired() as (net, wire):
            user, _ = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, OCTETS[:50_000]) == OCTETS[:50_000]
            served = len(net.edges["bob"].lines["t", False].sessions)
            recorded = bytes(wire.captured[sessions_of(wire)[0], "out"])

            reader, writer = await asyncio.open_connection("127.0.0.1", net.ports["bob"])
            writer.write(recorded)
            with contextlib.suppress(OSError):
                answer = await reader.read()
                assert OCTETS[:100] not in answer
            writer.close()

            line = net.edges["bob"].lines["t", False]
            await until(lambda: line.totals().failures == 1)
            assert len(line.sessions) <= served
            assert line.totals().bytes_out == 50_000

    play(scene)


@ALL_PUMPS
def test_a_killed_relay_is_gone_around(pump: str) -> None:
    async def scene() -> None:
        async with edge_net(DIAMOND, [ECHO], pump=pump) as net:
            user, session = await connect(net.edges["alice"], ECHO)
            sending = asyncio.to_thread(user.sendall, OCTETS[:100_000])
            await sending
            killed = session.path[1]
            await net.stop(killed)

            echoed = await exchange(user, OCTETS)
            assert echoed == OCTETS[:100_000] + OCTETS
            assert killed not in session.path
            assert len(session.path) == 3

    play(scene)


def test_a_ring_of_relays_ends_a_circuit_that_leads_nowhere() -> None:
    traffic = Traffic(name="t", service="echo", source="alice", destination="bob")

    async def scene() -> None:
        ring = [("alice", "carol"), ("carol", "dora"), ("dora", "alice"), ("dora", "bob")]
        async with edge_net(ring, [traffic]) as net:
            await net.stop("bob")
            with pytest.raises(ChannelError, match="no way"):
                await net.edges["alice"].open(traffic)

    play(scene)


def test_unknown_traffic_is_declined() -> None:
    async def scene() -> None:
        async with edge_net([("alice", "bob")], [ECHO]) as net:
            strange = Traffic(name="x", service="echo", source="alice", destination="bob")
            with pytest.raises(ChannelError, match="expects no such 'x'"):
                await net.edges["alice"].open(strange)

    play(scene)


@pytest.mark.parametrize("epoch", [-1, 1 << 32, 1 << 60])
def test_a_greeting_with_an_epoch_that_no_header_holds_is_refused(epoch: int) -> None:
    async def scene() -> None:
        async with edge_net([("alice", "bob")], [ECHO]) as net:
            alice = net.edges["alice"]
            line = alice.line(ECHO, is_opener=True)
            await line.keys.renew()
            newest = line.keys.newest
            assert newest is not None
            line.keys._quantum = replace(newest, number=epoch)
            with pytest.raises(ChannelError, match="no epoch"):
                await alice.open(ECHO)
            line.keys._quantum = newest
            user, _ = await connect(alice, ECHO)
            assert await exchange(user, b"still here") == b"still here"

    play(scene)


def test_noise_on_the_listener_harms_nobody() -> None:
    async def scene() -> None:
        async with edge_net([("alice", "bob")], [ECHO]) as net:
            for noise in (b"", b"GET / HTTP/1.1\r\n\r\n", b"\0\0\0\5hello", b"\xff" * 100):
                _, writer = await asyncio.open_connection("127.0.0.1", net.ports["bob"])
                writer.write(noise)
                writer.close()
            user, _ = await connect(net.edges["alice"], ECHO)
            assert await exchange(user, b"still here") == b"still here"

    play(scene)
