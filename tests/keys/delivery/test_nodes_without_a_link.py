"""SAEs of nodes without a common link, and of several nodes at once, over 014."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from key_net import KeyNet, key_net
from key_sites import Sites

from qnx_hw.config import NetworkFile, parse
from qnx_hw.errors import ConfigError
from qnx_hw.keys import LinkEnd, pki
from qnx_hw.keys.relay import RelaySettings
from qnx_hw.node.ends import relayed_ends
from qnx_hw.node.key_service import delivering

LINKS = [("a", "b"), ("b", "c")]
STATION = 'tagger = "tagger", channels = { H = 1, V = 2, D = 3, A = 4 }'
NETWORK = f"""
[network]
name = "test"
[keys]
certificates = "FOLDER"
[links.a-b]
alice = {{ node = "a", {STATION} }}
bob = {{ node = "b", {STATION} }}
[links.b-c]
alice = {{ node = "b", {STATION} }}
bob = {{ node = "c", {STATION} }}
""" + "".join(
    f"""
[nodes.{node}]
listen = "127.0.0.1:1"
kme = {{ listen = "127.0.0.1:0" }}
instruments.tagger = {{ driver = "tdc1", url = "tcp://127.0.0.1:2" }}
[saes.sae-{node}]
node = "{node}"
"""
    for node in "abc"
)


def network(folder: Path) -> NetworkFile:
    return parse(NETWORK.replace("FOLDER", str(folder)))


@pytest.fixture(scope="module")
def certified(tmp_path_factory: pytest.TempPathFactory) -> NetworkFile:
    folder = tmp_path_factory.mktemp("pki")
    for name in (pki.SAE_AUTHORITY, pki.KME_AUTHORITY):
        pki.make_authority(folder, name)
    pki.complete(network(folder), folder)
    return network(folder)


@asynccontextmanager
async def served(network: NetworkFile, folder: Path) -> AsyncIterator[tuple[KeyNet, Sites]]:
    settings = RelaySettings(low_bits=4096, high_bits=8192, batch_bits=4096)
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(asyncio.timeout(120))
        net = await stack.enter_async_context(key_net(folder, LINKS, settings))
        ports = {}
        for node, kme in net.kmes.items():
            delivery = delivering(network, kme, lambda *_: None)
            address = await stack.enter_async_context(delivery)
            ports[node] = int(address.rpartition(":")[2])
        for one, other in (*LINKS, ("a", "c"), ("c", "a")):
            await net.kmes[one].connected(other)
        yield net, Sites(network, None, ports)  # the pair is not used


def test_saes_of_nodes_without_a_link_get_the_same_keys(
    certified: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with served(certified, tmp_path) as (net, sites):
            for master, slave in (("a", "c"), ("c", "a")):
                await net.relays[master].fill(slave)
                given = await sites.enc(f"sae-{master}", f"sae-{slave}", {"number": 2})
                assert given.status == 200, given.message
                fetched = await sites.dec(f"sae-{slave}", f"sae-{master}", *given.keys)
                assert fetched.keys == given.keys

    asyncio.run(scenario())


def test_one_key_reaches_saes_at_several_nodes_once_each(
    certified: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with served(certified, tmp_path) as (net, sites):
            await net.relays["a"].fill("c")
            asked = {"number": 3, "additional_slave_SAE_IDs": ["sae-c"]}
            given = await sites.enc("sae-a", "sae-b", asked)
            assert given.status == 200, given.message
            assert len(given.keys) == 3
            for slave in ("sae-b", "sae-c"):
                assert (await sites.dec(slave, "sae-a", *given.keys)).keys == given.keys
                assert (await sites.dec(slave, "sae-a", *given.keys)).status == 400

    asyncio.run(scenario())


def test_nobody_else_gets_a_key_of_several_nodes(certified: NetworkFile, tmp_path: Path) -> None:
    async def scenario() -> None:
        async with served(certified, tmp_path) as (net, sites):
            await net.relays["a"].fill("c")
            given = await sites.enc("sae-a", "sae-c")
            assert (await sites.dec("sae-b", "sae-a", *given.keys)).status == 400
            assert (await sites.dec("sae-c", "sae-b", *given.keys)).status == 400
            assert (await sites.dec("sae-c", "sae-a", *given.keys)).keys == given.keys

    asyncio.run(scenario())


def test_a_stream_has_its_ends_at_nodes_without_a_link(
    certified: NetworkFile, tmp_path: Path
) -> None:
    async def scenario() -> None:
        async with served(certified, tmp_path) as (net, sites):
            await net.relays["a"].fill("c")
            path = "/api/v1/streams/"
            ends = {"source": "sae-a", "destination": "sae-c", "qos": {"Timeout": 0}}
            ours = await sites.ask("sae-a", f"{path}open_connect", ends)
            stream = {"Key_stream_ID": ours.json["Key_stream_ID"]}
            theirs = await sites.ask("sae-c", f"{path}open_connect", ends | stream)
            assert (ours.json["status"], theirs.json["status"]) == (1, 0)
            chunks = [
                (await sites.ask(sae, f"{path}get_key", stream)).json for sae in ("sae-a", "sae-c")
            ]

        assert [chunk["status"] for chunk in chunks] == [0, 0]
        assert chunks[0]["Key_buffer"] == chunks[1]["Key_buffer"] != ""
        for chunk in chunks:
            assert json.loads(chunk["Metadata"]["Metadata_buffer"])["is_relayed"]

    asyncio.run(scenario())


def test_relays_are_for_those_who_need_keys_and_share_no_link(tmp_path: Path) -> None:
    named = network(tmp_path)
    assert relayed_ends(named, "a") == {"c": LinkEnd("a~c", 0, is_relayed=True)}
    assert relayed_ends(named, "b") == {}
    text = NETWORK.replace('[saes.sae-c]\nnode = "c"', '[saes.sae-c]\nnode = "b"')
    assert relayed_ends(parse(text), "a") == {}
    pairs = text.replace("[links.a-b]", '[keys.relay]\npairs = [["c", "a"]]\n[links.a-b]')
    assert relayed_ends(parse(pairs), "c") == {"a": LinkEnd("a~c", 1, is_relayed=True)}


@pytest.mark.parametrize("relay", ['pairs = [["a", "x"]]', "low_bits = 9\nhigh_bits = 8"])
def test_a_relay_that_makes_no_sense_is_refused(relay: str) -> None:
    with pytest.raises(ConfigError, match=r"keys\.relay"):
        parse(NETWORK.replace("[links.a-b]", f"[keys.relay]\n{relay}\n[links.a-b]"))
