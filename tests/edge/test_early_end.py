"""A session that ends before its time looks so to its users; a node that stops ends all of its."""

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest
from edge_net import ALL_PUMPS, EdgeNet, edge_net, until
from scenes import DEADLINE_S, play

from qnx_hw.edge.engine import Engine
from qnx_hw.edge.session import USER_LEFT, Session
from qnx_hw.edge.traffic import Traffic
from qnx_hw.errors import ChannelError

WEB = Traffic(name="t", service="web", source="alice", destination="bob")
DIRECT = [("alice", "bob")]


def tcp_pair() -> tuple[socket.socket, socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        user = socket.create_connection(listener.getsockname())
        user.settimeout(DEADLINE_S)
        return user, listener.accept()[0]


class Joined:
    """A session of alice's, its users at both ends, and its other half at bob's."""

    def __init__(self, net: EdgeNet, near: socket.socket, far: socket.socket) -> None:
        self.net = net
        self.near, self.far = near, far
        (self.here,) = net.edges["alice"]._sessions.values()
        (self.there,) = net.edges["bob"]._sessions.values()


@asynccontextmanager
async def joined(pump: str) -> AsyncIterator[Joined]:
    async with edge_net(DIRECT, [WEB], pump=pump) as net:
        far, theirs = tcp_pair()

        async def serve(traffic: Traffic) -> socket.socket:
            return theirs

        net.edges["bob"].services["web"] = serve
        session = await net.edges["alice"].open(WEB)
        near, ours = tcp_pair()
        session.start(ours, is_opener=True)
        await asyncio.to_thread(near.sendall, b"hello")
        assert await asyncio.to_thread(far.recv, 5) == b"hello"
        with near, far:
            yield Joined(net, near, far)


def read_out(user: socket.socket) -> int:
    """Return how many bytes came before a good end; raises where there was none."""
    size = 0
    while piece := user.recv(1 << 20):
        size += len(piece)
    return size


async def over(*sessions: Session) -> None:
    await until(lambda: all(each.is_over.is_set() for each in sessions))


@ALL_PUMPS
def test_both_users_see_that_it_ended_early(pump: str) -> None:
    async def scene() -> None:
        async with joined(pump) as at:
            at.here.finish("a test ends it")
            for user in (at.near, at.far):
                with pytest.raises(ConnectionResetError):
                    await asyncio.to_thread(read_out, user)
            await over(at.here, at.there)
            assert at.there.reason == "a test ends it"
            told = "a connection of 't' ended early: a test ends it"
            await until(lambda: {f"alice: {told}", f"bob: {told}"} <= set(at.net.events))

    play(scene)


@ALL_PUMPS
def test_a_good_end_is_no_reset_and_no_news(pump: str) -> None:
    async def scene() -> None:
        async with joined(pump) as at:
            for user, other in ((at.near, at.far), (at.far, at.near)):
                user.shutdown(socket.SHUT_WR)
                assert await asyncio.to_thread(read_out, other) == 0
            await over(at.here, at.there)
            assert (at.here.reason, at.there.reason) == ("", "")
            assert not any("early" in event for event in at.net.events)

    play(scene)


async def filled(at: Joined) -> None:
    """Let bob's user say more than alice's takes, until nothing more gets through."""
    at.far.setblocking(False)
    quiet = 0
    while quiet < 20 or not at.here.talk.figures.is_delivering:
        try:
            at.far.send(bytes(1 << 20))
            quiet = 0
        except BlockingIOError:
            quiet += 1
            await asyncio.sleep(0.01)


@ALL_PUMPS
def test_a_user_who_takes_nothing_is_not_waited_for_and_sees_the_cut(pump: str) -> None:
    async def scene() -> None:
        async with joined(pump) as at:
            await filled(at)
            at.here.finish("a test ends it")
            await over(at.here)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(read_out, at.near)

    play(scene)


@ALL_PUMPS
def test_a_user_who_breaks_off_breaks_off_the_other_one_and_is_no_news(pump: str) -> None:
    async def scene() -> None:
        async with joined(pump) as at:
            await filled(at)
            at.near.close()  # with unread bytes: a reset
            await over(at.here, at.there)
            assert at.here.reason == at.there.reason == USER_LEFT
            assert not any("early" in event for event in at.net.events)

    play(scene)


def test_a_destination_that_is_not_there_is_named() -> None:
    async def scene() -> None:
        async with edge_net(DIRECT, [WEB]) as net:

            async def serve(traffic: Traffic) -> socket.socket:
                raise ChannelError("nobody at 192.0.2.7:80: refused")

            net.edges["bob"].services["web"] = serve
            session = await net.edges["alice"].open(WEB)
            near, ours = tcp_pair()
            session.start(ours, is_opener=True)
            with near, pytest.raises(ConnectionResetError):
                await asyncio.to_thread(read_out, near)
            assert session.reason == "'bob' refused: nobody at 192.0.2.7:80: refused"

    play(scene)


def assert_that_threads_end() -> None:
    for thread in threading.enumerate():
        if thread.name.startswith("edge"):
            thread.join(DEADLINE_S)
            assert not thread.is_alive()


async def idle(at: Joined) -> None:
    """Nobody says anything."""


async def without_a_way(at: Joined) -> None:
    """The circuit is lost and there is no other."""
    at.net.edges["alice"].hops["bob"].address = ("127.0.0.1", 1)
    at.here.lose()


async def without_key(at: Joined) -> None:
    """The user speaks, and there is no key to protect it."""
    at.net.keys.stock_bytes.clear()
    at.here.keys.sending.newest = None
    at.here.look_around()
    at.near.sendall(b"more")


@ALL_PUMPS
@pytest.mark.parametrize("state", [idle, filled, without_a_way, without_key])
def test_a_node_that_stops_ends_its_sessions_in_any_state(
    pump: str, state: Callable[[Joined], Awaitable[None]]
) -> None:
    async def scene() -> None:
        async with joined(pump) as at:
            await state(at)
            await at.net.stop("alice")
            await over(at.here)
            with pytest.raises(ConnectionResetError):
                await asyncio.to_thread(read_out, at.near)

    play(scene)
    assert_that_threads_end()


def test_a_node_that_stops_does_not_wait_for_who_asked_and_proves_nothing() -> None:
    async def scene() -> None:
        async with edge_net(DIRECT, [WEB]) as net:
            session = await net.edges["alice"].open(WEB)
            await until(lambda: bool(net.edges["bob"]._sessions))
            await net.stop("bob")
            session.abandon("a test ends it")

    play(scene)
    assert_that_threads_end()


def test_a_node_that_stops_does_not_wait_for_loops_to_be_compiled() -> None:
    may_end = threading.Event()

    class Slow(Engine):
        """Takes as long as a busy machine may."""

        def load(self) -> None:
            may_end.wait()

    async def scene() -> None:
        net = EdgeNet({"alice": [], "bob": []}, engine=Slow())
        await net.start("alice", [])
        await net.stop("alice")

    play(scene)  # else it would not return before the loops were there
    assert any(thread.name == "edge loops" for thread in threading.enumerate())
    may_end.set()
