"""Blocks of relayed key in a node's store: each end numbers and allocates its own.

A pair of nodes without a link has a pair of ledgers like a link. Even blocks are made by the end
with side 0, odd ones by the other, and only who made a block allocates from it. So a block that
reached the destination and was never confirmed is no more than bytes that nobody will ask for.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from qnx_hw.errors import Conflict
from qnx_hw.keys.ledger import KEYS, Provenance
from qnx_hw.keys.store import KeyStore
from qnx_hw.secret import Secret

PROTOCOL = "relay"


class RelayedBlocks:
    """The relayed blocks of one node's store; the store's work is done off the event loop."""

    def __init__(self, store: KeyStore, now: Callable[[], float] = time.time) -> None:
        self._store = store
        self._now = now

    async def begin(self, pair: str, side: int, above: int = 0) -> int:
        """Return a number for a new block that was never begun here, and remember it."""

        def work() -> int:
            number = max(self._store.memory(pair).next_block, above + 1)
            number += number % 2 != side
            self._store.start_block(pair, number)
            return number

        return await asyncio.to_thread(work)

    async def newest(self, pair: str, side: int) -> int:
        """Return the newest block of a side that was kept here."""
        return await asyncio.to_thread(self._store.newest_block, pair, side)

    async def keep(self, pair: str, block: int, key: Secret, *, is_simulated: bool) -> None:
        """Keep a block, on disk before this returns; `Conflict` where it is not a new one."""
        made = Provenance(is_simulated, self._now(), PROTOCOL)
        parts = {KEYS[block % 2]: key}

        def work() -> bool:
            return self._store.ingest(pair, block, parts, made, is_relayed=True)

        if not await asyncio.to_thread(work):
            raise Conflict(f"{pair}: block {block} is here already")
