"""Nodes that are killed and start again never protect two texts with the same bits of key."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from contextlib import suppress
from pathlib import Path

import pytest
from edge_capture import read_capture
from free_ports import free_port
from hostile_wire import HostileWire, hostile_wire
from kme_cluster import Cluster

from qnx_hw.edge.handshake import Mode

pytestmark = [pytest.mark.slow, pytest.mark.system]

EDGES = """
[nodes.alice.edge]
listen = "127.0.0.1:{alice}"
hops.bob = {{ address = "127.0.0.1:{wire}" }}
[nodes.bob.edge]
listen = "127.0.0.1:{bob}"
hops.alice = {{ }}
[tunnels.fast]
source = "alice"
destination = "bob"
listen = "127.0.0.1:{fast}"
target = "127.0.0.1:{echo}"
rekey_s = 0.5
[tunnels.pad]
source = "alice"
destination = "bob"
listen = "127.0.0.1:{pad}"
target = "127.0.0.1:{echo}"
mode = "otp"
mix_kem = false
"""
VICTIMS = (["alice"], ["bob"], ["alice", "bob"], ["bob", "alice"])
TALK = {"fast": 400_000, "pad": 2_000}
KILL_AFTER_BYTES = 1_500_000
DEADLINE_S = 300.0


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while piece := await reader.read(65536):
            writer.write(piece)
            await writer.drain()
    writer.close()


async def ask(port: int, octets: bytes) -> bytes:
    """Return what comes back through a tunnel; less where a node dies meanwhile."""
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        await asyncio.sleep(0.01)
        return b""
    try:
        writer.write(octets)
        writer.write_eof()
        return await reader.read()
    except OSError:
        return b""
    finally:
        writer.close()


async def talk(port: int, size: int) -> None:
    while True:
        await ask(port, secrets.token_bytes(size))


async def kill_under_load(
    cluster: Cluster, wire: HostileWire, ports: dict[str, int], victims: list[str]
) -> None:
    """Let users talk, and kill nodes while they do."""
    enough = asyncio.Event()
    start = sum(map(len, wire.captured.values()))

    def count(number: int, way: str, piece: bytes) -> bytes:
        if sum(map(len, wire.captured.values())) - start > KILL_AFTER_BYTES:
            enough.set()
        return piece

    wire.tamper = count
    async with asyncio.TaskGroup() as tasks:
        talking = [tasks.create_task(talk(ports[name], TALK[name])) for name in TALK]
        await enough.wait()
        for victim in victims:
            cluster.kill(victim)
        for task in talking:
            task.cancel()


@pytest.fixture(name="ports")
def _ports() -> dict[str, int]:
    return {name: free_port() for name in ("alice", "bob", "fast", "pad")}


def test_no_nonce_key_or_pad_offset_is_used_twice_across_kills(
    tmp_path: Path, ports: dict[str, int]
) -> None:
    killed: list[tuple[int, list[str]]] = []

    async def scene() -> HostileWire:
        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        target = server.sockets[0].getsockname()[1]
        async with asyncio.timeout(DEADLINE_S), server, hostile_wire(ports["bob"]) as (wire, at):
            tables = EDGES.format(wire=at, echo=target, **ports)
            cluster = Cluster(tmp_path, blocks=range(1, 17), block_bytes=65_536, tables=tables)
            try:
                await asyncio.to_thread(cluster.start, "alice", "bob")
                for victims in VICTIMS:
                    await kill_under_load(cluster, wire, ports, victims)
                    killed.append((wire.connections, victims))
                    await asyncio.to_thread(cluster.start, *victims)
                for name, size in TALK.items():
                    octets = secrets.token_bytes(size)
                    assert await ask(ports[name], octets) == octets
            finally:
                cluster.stop()
        return wire

    capture = read_capture(asyncio.run(scene()))

    modes = Counter(hello.mode for hello in capture.hellos.values())
    assert modes[Mode.AES] > len(VICTIMS)
    assert modes[Mode.OTP] > len(VICTIMS)
    assert capture.reused == []
    assert capture.overlapping_pads() == []
    for last, victims in killed:
        for victim, names in (("alice", capture.hellos), ("bob", capture.welcomes)):
            before = {each.key_id for number, each in names.items() if number <= last}
            after = {each.key_id for number, each in names.items() if number > last}
            assert before
            assert after
            if victim in victims:
                assert before.isdisjoint(after)
    ours = {each.key_id for each in capture.hellos.values()}
    assert ours.isdisjoint(each.key_id for each in capture.welcomes.values())
