"""ETSI GS QKD 004: both ends of a stream read the same chunks, each index once."""

from __future__ import annotations

import asyncio
import base64
import uuid
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from key_sites import Sites, served

from qnx_hw.config import NetworkFile

Scene = Callable[[Sites], Awaitable[None]]


def play(network: NetworkFile, folder: Path, scene: Scene, n_bytes: int = 8192) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), served(network, folder, n_bytes) as sites:
            await scene(sites)

    asyncio.run(scenario())


async def call(sites: Sites, sae: str, what: str, **members: object) -> Any:
    answer = await sites.ask(sae, f"/api/v1/streams/{what}", members)
    assert answer.status == 200, answer.message
    return answer.json


async def opened(sites: Sites) -> str:
    """Open a stream from sae-a to sae-b at both ends."""
    ends = {"source": "sae-a", "destination": "sae-b", "qos": {"Key_chunk_size": 64}}
    ours = await call(sites, "sae-a", "open_connect", **ends)
    assert ours["status"] == 1
    theirs = await call(sites, "sae-b", "open_connect", **ends, Key_stream_ID=ours["Key_stream_ID"])
    assert theirs["status"] == 0
    return str(ours["Key_stream_ID"])


def test_both_ends_read_the_same_chunks_in_their_own_time(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        ours = [await call(sites, "sae-a", "get_key", Key_stream_ID=stream) for _ in range(12)]
        theirs = [await call(sites, "sae-b", "get_key", Key_stream_ID=stream) for _ in range(12)]

        assert [each["index"] for each in ours] == list(range(12))
        assert ours == theirs
        chunks = {each["Key_buffer"] for each in ours}
        assert len(chunks) == 12
        assert all(len(base64.b64decode(chunk)) == 64 for chunk in chunks)

    play(network, tmp_path, scene)


def test_an_index_is_read_once_per_side(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        third = await call(sites, "sae-a", "get_key", Key_stream_ID=stream, index=3)
        again = await call(sites, "sae-a", "get_key", Key_stream_ID=stream, index=3)
        theirs = await call(sites, "sae-b", "get_key", Key_stream_ID=stream, index=3)

        assert (third["status"], again["status"], again["Key_buffer"]) == (0, 2, "")
        assert theirs["Key_buffer"] == third["Key_buffer"]

    play(network, tmp_path, scene)


def test_nobody_else_reads_a_stream(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        await call(sites, "sae-a", "get_key", Key_stream_ID=stream)
        path = "/api/v1/streams/get_key"
        assert (await sites.ask("sae-c", path, {"Key_stream_ID": stream})).status == 400
        ends = {"source": "sae-a", "destination": "sae-c", "Key_stream_ID": stream}
        assert (await call(sites, "sae-c", "open_connect", **ends))["status"] == 0
        assert (await call(sites, "sae-c", "get_key", Key_stream_ID=stream))["status"] == 2
        ends = {"source": "sae-a", "destination": "sae-b"}
        assert (await sites.ask("sae-c", "/api/v1/streams/open_connect", ends)).status == 400

    play(network, tmp_path, scene)


@pytest.mark.parametrize(
    ("qos", "size"), [({"Key_chunk_size": 1}, 8), ({"Key_chunk_size": 100_000}, 512)]
)
def test_what_cannot_be_had_is_answered_with_what_can(
    network: NetworkFile, tmp_path: Path, qos: dict[str, int], size: int
) -> None:
    async def scene(sites: Sites) -> None:
        ends = {"source": "sae-a", "destination": "sae-b", "qos": qos}
        answer = await call(sites, "sae-a", "open_connect", **ends)
        assert (answer["status"], answer["Key_stream_ID"]) == (7, None)
        assert answer["qos"]["Key_chunk_size"] == size

    play(network, tmp_path, scene)


def test_without_key_a_chunk_is_not_made_and_may_be_asked_again(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        assert (await call(sites, "sae-a", "get_key", Key_stream_ID=stream))["status"] == 2
        assert (await call(sites, "sae-a", "close", Key_stream_ID=stream))["status"] == 0
        path = "/api/v1/streams/get_key"
        assert (await sites.ask("sae-a", path, {"Key_stream_ID": stream})).status == 400

    play(network, tmp_path, scene, n_bytes=128)


@pytest.mark.parametrize(
    ("what", "body", "status"),
    [
        ("get_key", {"Key_stream_ID": "x"}, 400),
        ("get_key", b"{", 400),
        ("get_key", {"Key_stream_ID": str(uuid.uuid4()), "index": 1 << 32}, 400),
        ("open_connect", {"source": "sae-a", "destination": "nobody"}, 400),
        ("open_connect", {"source": "sae-a"}, 400),
        ("else", {}, 404),
        ("close", None, 405),
    ],
)
def test_what_cannot_be_meant_is_refused(
    network: NetworkFile, tmp_path: Path, what: str, body: object, status: int
) -> None:
    async def scene(sites: Sites) -> None:
        assert (await sites.ask("sae-a", f"/api/v1/streams/{what}", body)).status == status

    play(network, tmp_path, scene, 256)
