"""The way to a neighbour: a cut is told from a busy neighbour, by what its kernel acknowledges."""

from __future__ import annotations

import asyncio
import socket
import subprocess

import pytest
from edge_net import until
from hosts import hosts, missing

from qnx_hw.edge import hops, tcp
from qnx_hw.errors import ChannelError

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing()), reason=missing() or "there")]


@pytest.mark.timeout(300)
def test_a_cut_way_is_told_from_a_busy_neighbour() -> None:
    with hosts(("x", "y"), {("x", "y"): None}) as net:
        with net.inside("y"):
            listener = socket.create_server((net.address("y", "x"), 0))
        with net.inside("x"):
            circuit = socket.create_connection(listener.getsockname(), timeout=120)
        far, _ = listener.accept()
        with listener, circuit, far:
            circuit.setblocking(False)
            asyncio.run(arrives_unread(circuit))

            blackhole = ("ip", "route", "add", "blackhole", net.address("x", "y"))
            subprocess.run(net.command("y", *blackhole), check=True, timeout=120)
            with pytest.raises(ChannelError, match="nothing comes through"):
                asyncio.run(probe(circuit))


async def arrives_unread(circuit: socket.socket) -> None:
    await asyncio.get_running_loop().sock_sendall(circuit, bytes(hops.PROBE_BYTES))
    await until(lambda: tcp.due_s(circuit) is None)


async def probe(circuit: socket.socket) -> None:
    loop = asyncio.get_running_loop()
    async with hops._acknowledged(circuit):
        await loop.sock_sendall(circuit, bytes(hops.PROBE_BYTES))
        await loop.sock_recv(circuit, hops.PROBE_BYTES)
