"""An interface that goes down takes its hops along at once, and no other; the probes bring back."""

from __future__ import annotations

import asyncio
import math
import socket
import struct
import sys
from contextlib import suppress
from functools import partial

import pytest
from edge_net import until
from hosts import Hosts, hosts, missing

from qnx_hw.edge import hops, interfaces
from qnx_hw.edge.circuits import Open, Opened
from qnx_hw.edge.hops import Hop
from qnx_hw.edge.wires import PlainWire, hear, tell
from qnx_hw.errors import ChannelError


def link_message(kind: int, family: int, index: int, flags: int) -> bytes:
    """`struct nlmsghdr` and `struct ifinfomsg`, with an attribute behind (rtnetlink(7))."""
    body = struct.pack("=BBHiII", family, 0, 1, index, flags, 0) + struct.pack("=HHI", 8, 4, 1500)
    return struct.pack("=IHHII", 16 + len(body), kind, 0, 0, 0) + body


def test_only_what_is_down_or_gone_is_told() -> None:
    up, no_carrier, shut = 0x11043, 0x1003, 0x1002
    octets = b"".join(
        (
            link_message(16, 0, 2, up),
            link_message(16, 0, 3, no_carrier),
            link_message(16, 0, 4, shut),
            link_message(17, 0, 5, up),
            link_message(17, socket.AF_UNIX + 6, 6, up),  # AF_BRIDGE: a port left its bridge
            link_message(24, 0, 7, shut),
        )
    )

    assert list(interfaces.downs(octets)) == [3, 4, 5]


@pytest.mark.parametrize("octets", [b"", b"\0" * 64, link_message(16, 0, 3, 0)[:20]])
def test_what_is_cut_short_tells_nothing(octets: bytes) -> None:
    assert not list(interfaces.downs(octets))
    assert interfaces.leaves_by(octets) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux's kernel tells")
def test_the_kernel_names_the_interface_of_a_connection() -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    circuit = socket.create_connection(listener.getsockname(), timeout=120)

    with listener, circuit:
        assert interfaces.towards(circuit) == socket.if_nametoindex("lo")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.skipif(bool(missing()), reason=missing() or "there")
def test_a_downed_interface_takes_its_hop_along_until_it_is_back() -> None:
    with hosts(("x", "y"), {("x", "y"): None}) as net:
        with net.inside("y"):
            listener = socket.create_server((net.address("y", "x"), 0))
        with net.inside("x"), listener:
            asyncio.run(lose_and_find(net, listener))


async def lose_and_find(net: Hosts, listener: socket.socket) -> None:
    listener.setblocking(False)
    hop = Hop("y", listener.getsockname(), 1e9, is_up=True)
    other = Hop("z", ("127.0.0.1", 9), 1e9, is_up=True, interface=socket.if_nametoindex("lo"))
    with socket.create_connection(hop.address, timeout=120) as circuit:
        hop.interface = interfaces.towards(circuit)
    with interfaces.watching(partial(hops.interface_down, (hop, other))):
        net.plug("x", "y", "down")
        await until(lambda: not hop.is_up)

        assert hop.reason == "the interface it leaves by is down"
        assert other.is_up
        net.plug("x", "y", "up")
    async with asyncio.TaskGroup() as tasks:
        running = [
            tasks.create_task(neighbour(listener, tasks)),
            tasks.create_task(hops.watch("x", hop)),
        ]
        hop.cut_s = math.inf  # echoes of what was sent before do not count
        await until(lambda: hop.probes - hop.lost > 1)
        assert not hop.is_up
        hop.cut_s = -math.inf
        await until(lambda: hop.is_up)
        for each in running:
            each.cancel()


async def neighbour(listener: socket.socket, tasks: asyncio.TaskGroup) -> None:
    while True:
        circuit, _ = await asyncio.get_running_loop().sock_accept(listener)
        tasks.create_task(echo(circuit))


async def echo(circuit: socket.socket) -> None:
    wire = PlainWire(circuit)
    with circuit, suppress(ChannelError, OSError, TimeoutError):
        await hear(wire, Open)
        await tell(wire, Opened())
        await hops.answer(wire)
