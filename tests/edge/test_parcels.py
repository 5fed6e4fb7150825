"""Files arrive whole, go on where they stopped, and lie nowhere in clear."""

import asyncio
import contextlib
import secrets
from pathlib import Path

import pytest
from common_keys import CommonKeys
from edge_sites import DIAMOND, Running, running
from scenes import play

from qnx_hw.edge.parcels import Progress
from qnx_hw.edge.sealed_file import CHUNK_BYTES, SealedFile, new_key
from qnx_hw.errors import QnxError


async def post(net: Running, octets: bytes) -> str:
    reader = asyncio.StreamReader()
    reader.feed_data(octets)
    reader.feed_eof()
    return await net.sites["alice"].post_office.post("data.bin", len(octets), "bob", reader)


async def arrival(net: Running, name: str) -> list[Progress]:
    return [step async for step in net.sites["alice"].post_office.follow(name)]


def content(net: Running, name: str) -> bytes:
    inbox = net.sites["bob"].post_office.inbox
    parcel = inbox.get(name)
    assert parcel is not None
    sealed = inbox.content(parcel)
    return b"".join(sealed.read(number) for number in range(parcel.chunks))


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 17])
def test_a_file_arrives_whole_and_leaves_the_source(tmp_path: Path, size: int) -> None:
    octets = secrets.token_bytes(size)

    async def scene() -> None:
        async with running(tmp_path) as net:
            name = await post(net, octets)
            steps = await arrival(net, name)

            assert steps[-1].state == "arrived"
            assert content(net, name) == octets
            assert net.sites["alice"].post_office.outbox.all() == []

    play(scene)


@pytest.mark.slow
def test_a_file_goes_on_after_both_nodes_were_stopped(tmp_path: Path) -> None:
    octets = secrets.token_bytes(12 * CHUNK_BYTES)
    keys = CommonKeys()
    keys.give("alice", "bob", 10_000)

    async def scene() -> None:
        async with running(tmp_path, keys=keys) as net:
            name = await post(net, octets)
            async with contextlib.aclosing(net.sites["alice"].post_office.follow(name)) as steps:
                async for step in steps:
                    if step.sent_bytes > 4 * CHUNK_BYTES:
                        break
        async with running(tmp_path, keys=keys) as net:
            steps_after = await arrival(net, name)
            sent = [step.sent_bytes for step in steps_after if step.state == "sending"]
            assert steps_after[-1].state == "arrived"
            assert content(net, name) == octets
            assert not sent or sent[0] > CHUNK_BYTES

    play(scene)


@pytest.mark.slow
def test_a_file_passes_a_relay_that_dies(tmp_path: Path) -> None:
    octets = secrets.token_bytes(20 * CHUNK_BYTES)

    async def scene() -> None:
        async with running(tmp_path, DIAMOND) as net:
            name = await post(net, octets)
            killed = ""
            async with contextlib.aclosing(net.sites["alice"].post_office.follow(name)) as steps:
                async for step in steps:
                    if step.sent_bytes > 3 * CHUNK_BYTES and step.route and not killed:
                        killed = step.route[1]
                        await net.stop(killed)
                    last = step
            assert last.state == "arrived"
            assert killed
            assert content(net, name) == octets

    play(scene)


def test_nothing_of_a_file_lies_in_clear(tmp_path: Path) -> None:
    octets = b"a very secret measurement " * 50_000

    async def scene() -> None:
        async with running(tmp_path) as net:
            name = await post(net, octets)
            await arrival(net, name)

    play(scene)
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert any(path.name == "chunks" for path in files)
    assert not any(b"secret measurement" in path.read_bytes() for path in files)


def test_a_full_queue_refuses(tmp_path: Path) -> None:
    async def scene() -> None:
        async with running(tmp_path) as net:
            with pytest.raises(QnxError, match="no room"):
                await net.sites["alice"].post_office.post(
                    "x", 2 << 30, "bob", asyncio.StreamReader()
                )

    play(scene)


def test_a_damaged_chunk_is_not_given_out(tmp_path: Path) -> None:
    sealed = SealedFile(tmp_path / "chunks", new_key())
    sealed.write(0, b"measurement")
    octets = bytearray((tmp_path / "chunks").read_bytes())
    octets[3] ^= 1
    (tmp_path / "chunks").write_bytes(octets)

    with pytest.raises(QnxError, match="damaged"):
        sealed.read(0)
