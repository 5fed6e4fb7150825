"""What sockets are told."""

import socket
from collections.abc import Iterator

import pytest

from qnx_hw.edge.circuits import listen
from qnx_hw.edge.tcp import (
    PACING,
    UNPACED,
    begin_unpaced,
    congestion_control,
    hold_little,
    settle,
)


@pytest.fixture
def circuit() -> Iterator[socket.socket]:
    with listen("127.0.0.1:0") as listener, socket.socket() as near:
        begin_unpaced(near)
        near.connect(listener.getsockname())
        yield near


def test_what_is_no_tcp_keeps_its_queue() -> None:
    one, other = socket.socketpair()
    with one, other:
        before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        hold_little(one)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before


def test_a_short_way_is_not_paced(circuit: socket.socket) -> None:
    settle(circuit, short_way_us=60_000_000)

    assert not congestion_control(circuit).startswith(PACING)


@pytest.mark.skipif(not hasattr(socket, "TCP_CONGESTION"), reason="the system has no choice")
def test_a_long_way_is_paced_as_the_system_wants(circuit: socket.socket) -> None:
    with socket.socket() as fresh:
        usual = congestion_control(fresh)
    circuit.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, UNPACED)

    settle(circuit, short_way_us=-1)

    assert congestion_control(circuit) == usual


def test_what_comes_to_a_listener_begins_unpaced() -> None:
    with listen("127.0.0.1:0") as listener, socket.create_connection(listener.getsockname()):
        listener.setblocking(True)
        with listener.accept()[0] as taken:
            assert not congestion_control(taken).startswith(PACING)
