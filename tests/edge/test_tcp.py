"""What sockets are told."""

import socket

from qnx_hw.edge.tcp import hold_little


def test_what_is_no_tcp_keeps_its_queue() -> None:
    one, other = socket.socketpair()
    with one, other:
        before = one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF)
        hold_little(one)
        assert one.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) == before
