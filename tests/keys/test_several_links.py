"""Two links between the same nodes: both give keys and pads, and either may fail."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from key_pairs import MADE, Direct

from qnx_hw.api.schema import Level
from qnx_hw.errors import Conflict, KeyExhausted
from qnx_hw.keys import KeyStore, Kme, LinkEnd
from qnx_hw.keys.split import split
from qnx_hw.node.key_watch import KeyWatch
from qnx_hw.secret import Secret

BLOCK_BYTES = 64 + 8 * 32
"""Eight keys of 256 bits, beside the tags."""
LINKS = ("one", "two")


class Sites:
    def __init__(self, alice: Kme, bob: Kme) -> None:
        self.alice = alice
        self.bob = bob
        self.attending: dict[str, asyncio.Task[None]] = {}

    async def stop(self, link: str) -> None:
        self.attending[link].cancel()
        await asyncio.wait([self.attending[link]])


@asynccontextmanager
async def joined(folder: Path) -> AsyncIterator[Sites]:
    with KeyStore(folder / "alice") as ours, KeyStore(folder / "bob") as theirs:
        for link in LINKS:
            for block in (1, 2):
                key = secrets.token_bytes(BLOCK_BYTES)
                for store in (ours, theirs):
                    store.ingest(link, block, split(block, Secret(key), (32, 32)), MADE)
        alice, bob = (
            Kme(node, store.issued, {peer: tuple(LinkEnd(link, side) for link in LINKS)})
            for side, (node, peer, store) in enumerate(
                (("alice", "bob", ours), ("bob", "alice", theirs))
            )
        )
        sites = Sites(alice, bob)
        async with asyncio.timeout(120), asyncio.TaskGroup() as tasks:
            for link in LINKS:
                attending = alice.attend("bob", Direct("alice", bob), link)
                sites.attending[link] = tasks.create_task(attending)
                desk = alice._links["bob"].desks[LINKS.index(link)]
                while not desk.is_open:  # noqa: ASYNC110 - one of several says nothing
                    await asyncio.sleep(0)
            try:
                yield sites
            finally:
                for task in sites.attending.values():
                    task.cancel()


async def agreed(sites: Sites, number: int) -> None:
    keys = await sites.alice.get("bob", 256, number)
    fetched = await sites.bob.get_by_id("alice", [name for name, _ in keys])
    assert len({secret.reveal() for secret in fetched}) == number
    assert all(ours.equals(theirs) for (_, ours), theirs in zip(keys, fetched, strict=True))


def test_one_request_may_take_keys_of_both(tmp_path: Path) -> None:
    async def scene() -> None:
        async with joined(tmp_path) as sites:
            assert await sites.alice.stock_bits("bob") == 16 * 256
            await agreed(sites, 12)
            with pytest.raises(KeyExhausted):
                await sites.alice.get("bob", 256, 5)
            await agreed(sites, 4)
            assert await sites.alice.stock_bits("bob") == 0

    asyncio.run(scene())


def test_where_one_is_away_the_other_gives_keys(tmp_path: Path) -> None:
    async def scene() -> None:
        async with joined(tmp_path) as sites:
            await sites.stop("one")
            assert sites.alice.is_connected("bob")
            await agreed(sites, 8)
            with pytest.raises(KeyExhausted):
                await sites.alice.get("bob", 256)
            await sites.stop("two")
            assert not sites.alice.is_connected("bob")

    asyncio.run(scene())


def test_pads_of_both_are_found_by_their_offset_once(tmp_path: Path) -> None:
    async def scene() -> None:
        async with joined(tmp_path) as sites:
            pads = [await sites.alice.take_pad("bob", 100) for _ in range(4)]
            assert len({offset >> 56 for offset, _ in pads}) == 2
            for offset, pad in pads:
                assert (await sites.bob.take_pad_at("alice", offset, 100)).equals(pad)
                with pytest.raises(Conflict):
                    await sites.bob.take_pad_at("alice", offset, 100)
            with pytest.raises(KeyExhausted):
                await sites.bob.take_pad_at("alice", 2 << 56, 100)

    asyncio.run(scene())


def test_it_is_told_when_a_peer_goes_and_keys_run_low(tmp_path: Path) -> None:
    async def scene() -> None:
        heard: list[tuple[Level, str]] = []

        def hear(level: Level, source: str, words: str, about: str = "", /) -> None:
            heard.append((level, words))

        async with joined(tmp_path) as sites:
            watch = KeyWatch(sites.alice, 512, hear)
            await watch.look("bob")
            await watch.look("bob")
            assert heard == [
                (Level.OK, "the key manager of bob can be reached"),
                (Level.INFO, "keys for bob are in stock"),
            ]
            await agreed(sites, 15)
            await watch.look("bob")
            await watch.look("bob")
            assert heard[2:] == [(Level.WARNING, "keys for bob run low: 256 bits are left")]
            for link in LINKS:
                await sites.stop(link)
            await watch.look("bob")
            assert "away" in heard[3][1]
            assert len(heard) == 4

    asyncio.run(scene())
