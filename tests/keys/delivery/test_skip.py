"""SKIP: routers get the same key at both ends, once, in hexadecimal."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from key_sites import Sites, served

from qnx_hw.config import NetworkFile

Scene = Callable[[Sites], Awaitable[None]]


def play(network: NetworkFile, folder: Path, scene: Scene) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(120), served(network, folder, 2048) as sites:
            await scene(sites)

    asyncio.run(scenario())


@pytest.mark.parametrize(("query", "n_bytes"), [("", 32), ("&size=512", 64)])
def test_both_routers_get_the_key_once(
    network: NetworkFile, tmp_path: Path, query: str, n_bytes: int
) -> None:
    async def scene(sites: Sites) -> None:
        ours = await sites.ask("sae-a", f"/key?remoteSystemID=sae-b{query}")
        path = f"/key/{ours.json['keyId']}?remoteSystemID=sae-a"
        assert (await sites.ask("sae-c", path)).status == 404
        theirs = await sites.ask("sae-b", path)
        again = await sites.ask("sae-b", path)

        assert (ours.status, theirs.status, again.status) == (200, 200, 404)
        assert ours.json == theirs.json
        assert len(bytes.fromhex(ours.json["key"])) == n_bytes

    play(network, tmp_path, scene)


def test_a_key_of_one_protocol_is_found_by_the_other(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        given = await sites.enc("sae-a", "sae-b")
        ((name, octets),) = given.keys.items()
        path = f"/key/{name.replace('-', '')}?remoteSystemID=sae-a"
        assert (await sites.ask("sae-b", path)).json["key"] == octets.hex()

    play(network, tmp_path, scene)


def test_a_router_learns_what_it_may_ask(network: NetworkFile, tmp_path: Path) -> None:
    async def scene(sites: Sites) -> None:
        able = (await sites.ask("sae-a", "/capabilities")).json
        assert able["localSystemID"] == "sae-a"
        assert "sae-b" in able["remoteSystemID"]
        assert "sae-slow" not in able["remoteSystemID"]
        drawn = [(await sites.ask("sae-a", "/entropy?minentropy=100")).json for _ in range(2)]
        assert drawn[0]["minentropy"] == 104
        assert len(bytes.fromhex(drawn[0]["randomStr"])) == 13
        assert drawn[0] != drawn[1]

    play(network, tmp_path, scene)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/key", 400),
        ("/key?remoteSystemID=nobody", 404),
        ("/key?remoteSystemID=sae-slow", 404),
        ("/key?remoteSystemID=sae-b&size=7", 400),
        ("/key?remoteSystemID=sae-b&size=x", 400),
        ("/key?remoteSystemID=sae-b&size=", 400),
        ("/key?remoteSystemID=sae-b&remoteSystemID=sae-c", 400),
        ("/key/12?remoteSystemID=sae-b", 400),
        (f"/key/{'0' * 32}?remoteSystemID=sae-b", 404),
        ("/entropy?minentropy=0", 400),
        ("/entropy?minentropy=99999", 400),
    ],
)
def test_what_cannot_be_meant_is_refused(
    network: NetworkFile, tmp_path: Path, path: str, status: int
) -> None:
    async def scene(sites: Sites) -> None:
        assert (await sites.ask("sae-a", path)).status == status
        assert (await sites.ask("sae-a", path, {})).status == 405

    play(network, tmp_path, scene)
