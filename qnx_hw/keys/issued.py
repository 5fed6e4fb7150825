"""Keys with names: cut from a ledger at one node, kept at the other until they are fetched, once.

How it thinks: each node allocates from its own direction of a link. `reserve` cuts keys from it,
which moves the cursor; the peer's `accept` cuts the same bytes from its copy and keeps each key
sealed, with who may fetch it. Both are on disk before anybody is told. `take` deletes what it
hands out. `meet` compares what the two nodes remember of each other: neither ever goes back behind
the other's memory, so a store restored from an old copy jumps over what it forgot.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence

from qnx_hw.errors import Conflict, KeyExhausted
from qnx_hw.keys import names, waiting
from qnx_hw.keys.block_keys import BlockKeys
from qnx_hw.keys.chunks import Chunks
from qnx_hw.keys.database import Database, Execute
from qnx_hw.keys.ledger import (
    BLOCK_SHIFT,
    KEYS,
    PADS,
    TAGS,
    TAKEN,
    Allotment,
    NamedKeys,
    Order,
    Purpose,
    Quota,
    Run,
    Stock,
    Wish,
)
from qnx_hw.keys.storage import Storage
from qnx_hw.keys.waiting import Origin, WaitingKeys
from qnx_hw.secret import Secret

PAD_WINDOW_BYTES = 16 << 20
"""How far pads may be used out of order, as parallel connections do."""
FROM_ELSEWHERE = (1 << 31) - 1
"""Stands for the block of keys that were not cut from a ledger of this node."""

SCHEMA = (
    waiting.SCHEMA
    + """
CREATE TABLE IF NOT EXISTS usage(
    master TEXT, day INTEGER, bits INTEGER NOT NULL, PRIMARY KEY (master, day)) STRICT;
"""
)


class IssuedKeys(Storage):
    """The named keys of one node's store."""

    def __init__(
        self, database: Database, keys: BlockKeys, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._keys = keys
        self._now = now

    async def reserve(self, link: str, purpose: Purpose, wish: Wish) -> Allotment:
        def work(execute: Execute) -> Allotment:
            if wish.quota is not None:
                self._count(execute, wish.quota, wish.number * wish.n_bits)
            ledger = self._ledger(execute, link, purpose)
            if wish.keep_bits:
                left = 8 * ledger.stock_bytes() - wish.number * wish.n_bits
                if left < wish.keep_bits:
                    raise KeyExhausted(f"link {link}: what is left is kept for authentication")
            runs = ledger.take_runs(wish.n_bits // 8, wish.number)
            self._check_origin(execute, link, [run for run, _ in runs], wish.may_be_simulated)
            key_ids = wish.key_ids or names.fresh(wish.number)
            keys = NamedKeys(key_ids, _joined([octets for _, octets in runs]))
            return Allotment(tuple(run for run, _ in runs), keys)

        return await self._database.write(work)

    async def accept(self, link: str, purpose: Purpose, order: Order) -> None:
        await self._database.write(lambda execute: self._accept(execute, link, purpose, order))

    async def keep(self, link: str, order: Order, octets: Secret) -> None:
        count = len(order.key_ids)
        adds_up = not order.runs and count > 0 and 8 * len(octets) == count * order.n_bits
        if not adds_up or not order.holders:
            raise Conflict(f"link {link}: the peer's order does not add up")
        origin = Origin(link, "", FROM_ELSEWHERE)

        def work(execute: Execute) -> None:
            self._waiting(execute).add(origin, order, order.key_ids, octets)

        await self._database.write(work)

    async def take(self, holder: str, master: str, key_ids: Sequence[str]) -> list[Secret]:
        def work(execute: Execute) -> list[Secret]:
            keys, origins = self._waiting(execute).take(holder, master, key_ids, self._now())
            for origin, count in origins:
                if origin.purpose:
                    fetched = TAKEN[1 - KEYS.index(Purpose(origin.purpose))]
                    counter = self._ledger(execute, origin.link, fetched)
                    counter.advance(counter.cursor() + count)
            return keys

        return await self._database.write(work)

    async def expires_s(self, holder: str, master: str, key_id: str) -> float:
        return await self._database.write(
            lambda execute: self._waiting(execute).expires_s(holder, master, key_id, self._now())
        )

    async def expire(self) -> int:
        return await self._database.write(
            lambda execute: self._waiting(execute).expire(self._now())
        )

    async def waiting(self, link: str, master: str) -> tuple[str, ...]:
        return await self._database.write(
            lambda execute: self._waiting(execute).names(link, master)
        )

    async def void(self, link: str, master: str, key_ids: Sequence[str]) -> frozenset[str]:
        return await self._database.write(
            lambda execute: self._waiting(execute).void(link, master, key_ids)
        )

    async def stats(self, link: str) -> Stock:
        def work(execute: Execute) -> Stock:
            bits = {
                purpose: 8 * self._ledger(execute, link, purpose).stock_bytes()
                for purpose in Purpose
            }
            count = self._waiting(execute).count(link)
            total = execute(
                "SELECT coalesce(sum(key_bits), 0) FROM block WHERE link = ?", link
            ).fetchone()[0]
            simulated = execute(
                "SELECT 1 FROM chunk JOIN block ON block.link = chunk.link"
                " AND block.number = chunk.block"
                " WHERE chunk.link = ? AND block.is_simulated = 1 LIMIT 1",
                link,
            ).fetchone()
            return Stock(bits, count, int(total), simulated is not None)

        return await self._database.write(work)

    async def marks(self, link: str) -> dict[str, int]:
        return await self._database.write(lambda execute: self._marks(execute, link))

    async def meet(self, link: str, own: Sequence[str], theirs: Mapping[str, int]) -> bool:
        def work(execute: Execute) -> bool:
            ours = self._marks(execute, link)
            is_old = any(theirs.get(each, 0) > ours[each] for each in own)
            for each in (*KEYS, *TAGS, *PADS, *TAKEN):
                mark = max(ours[each], theirs.get(each, 0))
                self._ledger(execute, link, each).advance(mark)
            if is_old:
                self.forget(execute, link)
            return is_old

        return await self._database.write(work)

    def forget(self, execute: Execute, link: str) -> None:
        """Delete all keys of a link that wait here, inside a transaction."""
        self._waiting(execute).forget(link)

    async def set_aside(
        self, link: str, source: Purpose, pads: Purpose, n_bytes: int
    ) -> tuple[int, tuple[Run, ...]]:
        def work(execute: Execute) -> tuple[int, tuple[Run, ...]]:
            keys, stream = self._ledger(execute, link, source), self._ledger(execute, link, pads)
            first = at = stream.end()
            runs = []
            for start, octets in keys.take_whole(n_bytes):
                stream.insert(at, octets, start >> BLOCK_SHIFT)
                runs.append(Run(start, len(octets)))
                at += len(octets)
            return first, tuple(runs)

        return await self._database.write(work)

    async def accept_pads(
        self, link: str, source: Purpose, offset: int, runs: Sequence[Run]
    ) -> None:
        def work(execute: Execute) -> None:
            keys = self._ledger(execute, link, source)
            stream = self._ledger(execute, link, PADS[KEYS.index(source)])
            if offset < stream.end():
                raise Conflict(f"link {link}: the peer's pads go back to offset {offset}")
            at = offset
            for run in runs:
                octets = keys.take_at(run.address, run.count)
                stream.insert(at, octets, run.address >> BLOCK_SHIFT)
                at += run.count

        await self._database.write(work)

    async def remember_fetched(self, link: str, side: int, count: int) -> None:
        await self._database.write(
            lambda execute: self._ledger(execute, link, TAKEN[side]).advance(count)
        )

    async def take_pad(self, link: str, pads: Purpose, n_bytes: int) -> tuple[int, Secret]:
        return await self._database.write(
            lambda execute: self._ledger(execute, link, pads).take_stream(n_bytes)
        )

    async def take_pad_at(self, link: str, pads: Purpose, offset: int, n_bytes: int) -> Secret:
        return await self._database.write(
            lambda execute: self._ledger(execute, link, pads).take_stream_at(
                offset, n_bytes, PAD_WINDOW_BYTES
            )
        )

    async def burn_pads(self, link: str, pads: Purpose) -> None:
        def work(execute: Execute) -> None:
            stream = self._ledger(execute, link, pads)
            stream.advance(stream.end())

        await self._database.write(work)

    def _accept(self, execute: Execute, link: str, purpose: Purpose, order: Order) -> None:
        n_bytes = order.n_bits // 8
        counts = [run.count for run in order.runs]
        adds_up = min(counts, default=0) > 0 and sum(counts) == len(order.key_ids)
        if n_bytes < 1 or not adds_up or not order.holders:
            raise Conflict(f"link {link}: the peer's order does not add up")
        self._check_origin(execute, link, order.runs, order.may_be_simulated)
        ledger, kept, at = self._ledger(execute, link, purpose), self._waiting(execute), 0
        for run in order.runs:
            octets = ledger.take_at(run.address, run.count * n_bytes)
            origin = Origin(link, purpose, run.address >> BLOCK_SHIFT)
            kept.add(origin, order, order.key_ids[at : at + run.count], octets)
            at += run.count

    def _count(self, execute: Execute, quota: Quota, n_bits: int) -> None:
        day = int(self._now() // 86_400)
        execute("DELETE FROM usage WHERE day < ?", day)
        used = execute(
            "INSERT INTO usage VALUES (?, ?, ?) ON CONFLICT (master, day) DO UPDATE"
            " SET bits = usage.bits + excluded.bits RETURNING bits",
            *(quota.master, day, n_bits),
        ).fetchone()[0]
        if used > quota.bits_per_day:
            raise KeyExhausted(f"'{quota.master}' may take {quota.bits_per_day} bits in a day")

    def _marks(self, execute: Execute, link: str) -> dict[str, int]:
        """A pad that waits while the nodes meet is given up, so its mark is the end."""
        ledgers = {
            each: self._ledger(execute, link, each) for each in (*KEYS, *TAGS, *PADS, *TAKEN)
        }
        return {
            str(name): ledger.end() if name in PADS else ledger.cursor()
            for name, ledger in ledgers.items()
        }

    def _check_origin(
        self, execute: Execute, link: str, runs: Sequence[Run], may_be_simulated: bool
    ) -> None:
        if may_be_simulated:
            return
        for run in runs:
            row = execute(
                "SELECT is_simulated FROM block WHERE link = ? AND number = ?",
                *(link, run.address >> BLOCK_SHIFT),
            ).fetchone()
            if row is None or row[0]:
                raise KeyExhausted(
                    f"link {link}: its keys come from simulated instruments, "
                    f"which who asks may not receive"
                )

    def _waiting(self, execute: Execute) -> WaitingKeys:
        return WaitingKeys(execute, self._keys)

    def _ledger(self, execute: Execute, link: str, purpose: str) -> Chunks:
        return Chunks(execute, self._keys, link, purpose)


def _joined(pieces: Sequence[Secret]) -> Secret:
    """Return secrets one after the other; they are wiped."""
    if len(pieces) == 1:
        return pieces[0]
    whole = Secret(b"".join(each.reveal() for each in pieces))
    for each in pieces:
        each.wipe()
    return whole
