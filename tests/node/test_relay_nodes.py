"""Whole nodes relay keys over the classical channels of their links."""

from __future__ import annotations

import asyncio
import secrets
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from free_ports import free_ports

from qnx_hw.config import NetworkFile, parse
from qnx_hw.keys import KeyStore, Provenance, initial
from qnx_hw.keys.split import split
from qnx_hw.node.node import Node
from qnx_hw.secret import Secret

CHANNELS = "channels = { H = 1, V = 2, D = 3, A = 4 }"
LINKS = {"a-b": ("a", "east", "b", "west"), "b-c": ("b", "east", "c", "west")}


def network(folder: Path) -> NetworkFile:
    ports = free_ports(4)
    text = f"""
[network]
name = "test"
data_dir = "{folder}"
[keys.relay]
pairs = [["a", "c"]]
"""
    for at, node in enumerate("abc"):
        text += f'[nodes.{node}]\nlisten = "127.0.0.1:{ports[at]}"\n'
        for tagger in ("east", "west"):
            url = f"tcp://127.0.0.1:{ports[3]}"
            text += f'instruments.{tagger} = {{ driver = "tdc1", url = "{url}" }}\n'
    for link, (alice, ours, bob, theirs) in LINKS.items():
        text += f"[links.{link}]\nautostart = false\n"
        text += f'alice = {{ node = "{alice}", tagger = "{ours}", {CHANNELS} }}\n'
        text += f'bob = {{ node = "{bob}", tagger = "{theirs}", {CHANNELS} }}\n'
    return parse(text)


@pytest.mark.slow
def test_the_outer_nodes_of_a_chain_share_keys(tmp_path: Path) -> None:
    file = network(tmp_path)
    for link, (alice, _, bob, _) in LINKS.items():
        initial.prepare(link, (file.folder_of(alice), file.folder_of(bob)))
        for block in (1, 2):
            key = secrets.token_bytes(32_768)
            for node in (alice, bob):
                with KeyStore(file.folder_of(node)) as store:
                    made = Provenance(is_simulated=True, made_s=1.0)
                    store.ingest(link, block, split(block, Secret(key)), made)

    async def scenario() -> None:
        async with asyncio.timeout(120), AsyncExitStack() as stack:
            nodes = {}
            for name in "abc":
                opening = Node.open(file, name, lambda *_: None)
                nodes[name] = await stack.enter_async_context(opening)
            ours, theirs = nodes["a"], nodes["c"]
            await ours.kme.connected("c")
            while await ours.kme.stock_bits("c") < 65_536:  # noqa: ASYNC110 - a store tells nobody
                await asyncio.sleep(0.05)
            keys = await ours.kme.get("c", 256, 3)
            fetched = await theirs.kme.get_by_id("a", [name for name, _ in keys])
            assert all(a.equals(b) for (_, a), b in zip(keys, fetched, strict=True))
            await ours.pools.look("c")
            (pool,) = [view for view in ours.pools.views() if view.peer == "c"]
            assert pool.link == ""
            assert pool.stock_bits > 0

    asyncio.run(scenario())
