"""ETSI GS QKD 004: both ends of a stream read the same chunks, each index once."""

from __future__ import annotations

import asyncio
import base64
import json
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


# No deadline but the test's own, so that a slow machine changes nothing.
QOS = {"Key_chunk_size": 64, "Timeout": 0}
ENDS = {"source": "sae-a", "destination": "sae-b"}


async def begun(sites: Sites, **qos: object) -> str:
    """Open a stream from sae-a to sae-b at its maker's end."""
    ours = await call(sites, "sae-a", "open_connect", **ENDS, qos=QOS | qos)
    assert ours["status"] == 1
    return str(ours["Key_stream_ID"])


async def join(sites: Sites, stream: str, **qos: object) -> Any:
    return await call(sites, "sae-b", "open_connect", **ENDS, qos=QOS | qos, Key_stream_ID=stream)


async def opened(sites: Sites, **qos: object) -> str:
    """Open a stream from sae-a to sae-b at both ends."""
    stream = await begun(sites, **qos)
    assert (await join(sites, stream))["status"] == 0
    return stream


def test_both_ends_read_the_same_chunks_in_their_own_time(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        ours = [await call(sites, "sae-a", "get_key", Key_stream_ID=stream) for _ in range(12)]
        theirs = [await call(sites, "sae-b", "get_key", Key_stream_ID=stream) for _ in range(12)]

        assert [each["index"] for each in ours] == list(range(12))
        assert [each["index"] for each in theirs] == list(range(12))
        assert [each["Key_buffer"] for each in ours] == [each["Key_buffer"] for each in theirs]
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
        for asked in (ends, ENDS, ENDS | {"Key_stream_ID": str(uuid.uuid4())}):
            answer = await sites.ask("sae-c", "/api/v1/streams/open_connect", asked)
            assert answer.status == 400

    play(network, tmp_path, scene)


@pytest.mark.parametrize(
    ("wanted", "possible"),
    [
        ({"Key_chunk_size": 1}, {"Key_chunk_size": 8}),
        ({"Key_chunk_size": 100_000, "TTL": 0}, {"Key_chunk_size": 512, "TTL": 1}),
        ({"Metadata_mimetype": "text/xml"}, {"Metadata_mimetype": "application/json"}),
    ],
)
def test_what_cannot_be_had_is_answered_with_what_can(
    network: NetworkFile, tmp_path: Path, wanted: dict[str, object], possible: dict[str, object]
) -> None:
    async def scene(sites: Sites) -> None:
        answer = await call(sites, "sae-a", "open_connect", **ENDS, qos=wanted)
        assert (answer["status"], answer["Key_stream_ID"]) == (7, None)
        assert answer["qos"].items() >= possible.items()
        again = await call(sites, "sae-a", "open_connect", **ENDS, qos=answer["qos"])
        assert again["status"] == 1

    play(network, tmp_path, scene)


def test_a_partner_takes_a_stream_as_it_is(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        stream = await begun(sites)
        wrong = await join(sites, stream, Key_chunk_size=32, TTL=60)
        assert (wrong["status"], wrong["Key_stream_ID"]) == (7, None)
        assert (wrong["qos"]["Key_chunk_size"], wrong["qos"]["TTL"]) == (64, 3600)
        early = await call(sites, "sae-a", "get_key", Key_stream_ID=stream)
        assert early["status"] == 3

        assert (await join(sites, stream, **wrong["qos"]))["status"] == 0
        assert (await join(sites, stream))["status"] == 5

    play(network, tmp_path, scene)


def test_no_key_is_spent_before_the_partner_has_come(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        stream = await begun(sites)
        before = await sites.pair.alice.stock_bits("bob")
        early = await call(sites, "sae-a", "get_key", Key_stream_ID=stream)
        assert (early["status"], early["index"], early["Key_buffer"]) == (3, 0, "")
        assert await sites.pair.alice.stock_bits("bob") == before

        assert (await join(sites, stream))["status"] == 0
        assert (await call(sites, "sae-a", "get_key", Key_stream_ID=stream))["status"] == 0

    play(network, tmp_path, scene)


def test_what_takes_too_long_ends_and_its_index_is_passed_over(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites, Timeout=200)
        sites.pair.to_bob.passes.clear()
        late = await call(sites, "sae-a", "get_key", Key_stream_ID=stream)
        assert (late["status"], late["index"], late["Key_buffer"]) == (6, 0, "")
        sites.pair.to_bob.passes.set()

        ours = late
        while ours["status"] == 6:  # for as long as this machine takes longer than that
            ours = await call(sites, "sae-a", "get_key", Key_stream_ID=stream)
        assert (ours["status"], ours["index"] >= 8) == (0, True)
        theirs = await call(sites, "sae-b", "get_key", Key_stream_ID=stream, index=ours["index"])
        assert theirs["Key_buffer"] == ours["Key_buffer"] != ""

        sites.pair.to_alice.passes.clear()
        assert (await join(sites, await begun(sites), Timeout=200))["status"] == 6
        sites.pair.to_alice.passes.set()

    play(network, tmp_path, scene)


def test_a_lost_key_manager_is_told_and_its_chunks_are_given_up(
    network: NetworkFile, tmp_path: Path
) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        sites.pair.to_bob.loses_replies = True
        assert (await call(sites, "sae-a", "get_key", Key_stream_ID=stream))["status"] == 4
        sites.pair.to_bob.loses_replies = False
        await sites.pair.alice.connected("bob")
        ours = await call(sites, "sae-a", "get_key", Key_stream_ID=stream)
        assert (ours["status"], ours["index"]) == (0, 8)

    play(network, tmp_path, scene)


def test_metadata_comes_where_there_is_room_for_it(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites)
        get = {"Key_stream_ID": stream, "index": 2}
        small = await call(sites, "sae-a", "get_key", **get, Metadata_size=3)
        needed = small["Metadata"]["Metadata_size"]
        assert (small["status"], small["Key_buffer"], needed > 3) == (8, "", True)
        assert small["Metadata"]["Metadata_buffer"] == ""

        # More digits of age may be needed by now.
        whole = await call(sites, "sae-a", "get_key", **get, Metadata_size=needed + 8)
        theirs = await call(sites, "sae-b", "get_key", **get)
        assert (whole["status"], whole["Key_buffer"]) == (0, theirs["Key_buffer"])
        for metadata in (whole["Metadata"], theirs["Metadata"]):
            told = json.loads(metadata["Metadata_buffer"])
            assert metadata["Metadata_size"] == len(metadata["Metadata_buffer"])
            assert (told["age"] >= 0, told["is_relayed"]) == (True, False)

    play(network, tmp_path, scene)


def test_who_wants_no_metadata_gets_none(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        stream = await opened(sites, Metadata_mimetype="")
        bare = await call(sites, "sae-a", "get_key", Key_stream_ID=stream, Metadata_size=0)
        assert bare["status"] == 0
        assert bare["Metadata"] == {"Metadata_size": 0, "Metadata_buffer": ""}

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
