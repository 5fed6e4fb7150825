"""Two nodes' key managers over one link, joined inside the process by their encoded messages."""

from __future__ import annotations

import asyncio
import dataclasses
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from qnx_hw.errors import ChannelError
from qnx_hw.keys import KeyStore, Kme, LinkEnd, Provenance
from qnx_hw.keys.messages import (
    Peer,
    Reply,
    Request,
    decode_replies,
    decode_requests,
    encode,
)
from qnx_hw.keys.split import split
from qnx_hw.secret import Secret

LINK = "alice-bob"
MADE = Provenance(is_simulated=False, made_s=1_000.0, qber=0.02, epsilon=1e-10)


class Direct(Peer):
    """Carries what one key manager asks to the other, as bytes; `cut` breaks it."""

    def __init__(self, asker: str, answerer: Kme) -> None:
        self._asker = asker
        self._answerer = answerer
        self.calls = 0
        self.loses_replies = False
        self.passes = asyncio.Event()
        """Cleared where nothing gets through for now."""
        self.passes.set()

    async def call(self, requests: Sequence[Request]) -> Sequence[Reply]:
        self.calls += 1
        await self.passes.wait()
        heard = decode_requests(encode(requests))
        replies = encode(await self._answerer.answer(self._asker, heard))
        if self.loses_replies:
            raise ChannelError("the reply was lost")
        return decode_replies(replies, len(requests))


@dataclass
class Pair:
    """Both ends of a link, with the ways between them."""

    alice: Kme
    bob: Kme
    stores: dict[str, KeyStore]
    to_bob: Direct
    to_alice: Direct


def fill(
    stores: Sequence[KeyStore],
    n_bytes: int,
    *,
    blocks: Sequence[int] = (1, 2),
    is_simulated: bool = False,
) -> None:
    """Give both stores the same blocks of key, 32 bytes of each for either direction's tags."""
    made = dataclasses.replace(MADE, is_simulated=is_simulated)
    for block in blocks:
        key = secrets.token_bytes(n_bytes)
        for store in stores:
            store.ingest(LINK, block, split(block, Secret(key), (32, 32)), made)


@asynccontextmanager
async def joined(
    folder: Path, n_bytes: int = 4096, *, is_attended: bool = True
) -> AsyncIterator[Pair]:
    """Open both stores, fill new ones with four blocks, and let the two attend each other."""
    with KeyStore(folder / "alice") as ours, KeyStore(folder / "bob") as theirs:
        if n_bytes and not ours.secret_bits(LINK):
            fill((ours, theirs), n_bytes, blocks=(1, 2, 3, 4))
        alice = Kme("alice", ours.issued, {"bob": LinkEnd(LINK, 0)})
        bob = Kme("bob", theirs.issued, {"alice": LinkEnd(LINK, 1)})
        pair = Pair(
            alice,
            bob,
            {"alice": ours, "bob": theirs},
            Direct("alice", bob),
            Direct("bob", alice),
        )
        if not is_attended:
            yield pair
            return
        async with asyncio.TaskGroup() as tasks:
            attending = [
                tasks.create_task(_attend(alice, "bob", pair.to_bob)),
                tasks.create_task(_attend(bob, "alice", pair.to_alice)),
            ]
            await alice.connected("bob")
            await bob.connected("alice")
            try:
                yield pair
            finally:
                for task in attending:
                    task.cancel()


async def _attend(kme: Kme, peer: str, way: Peer) -> None:
    """Attend again and again, as a wire does."""
    while True:
        try:
            await kme.attend(peer, way)
        except ChannelError:
            await asyncio.sleep(0)
