"""All links to one peer: what they hold together, and which of them gives what is asked for."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence

from qnx_hw.errors import ChannelError, KeyExhausted
from qnx_hw.keys.desk import Desk, LinkEnd
from qnx_hw.keys.ledger import KEYS, PADS, Stock, Wish
from qnx_hw.keys.messages import SetAside
from qnx_hw.keys.storage import Storage
from qnx_hw.secret import Secret

PAD_BATCH_BYTES = 16 << 10
"""Set aside at once, so that not every pad costs a message."""
PAD_SHARE = 4
"""Of the stock, one part in four is set aside at once at most."""
LINK_SHIFT = 56
"""An offset of pads is below this; which of several links it is of stands above."""


class Links:
    """The links of this node to one peer, one at least."""

    def __init__(self, peer: str, ends: Sequence[LinkEnd], storage: Storage) -> None:
        self.peer = peer
        self.desks = tuple(Desk(peer, end) for end in ends)
        self.is_reachable = asyncio.Event()
        """Set while one of the links is open."""
        self._storage = storage

    def open_desks(self) -> list[Desk]:
        """Return the links over which the peer can be asked now."""
        return [desk for desk in self.desks if desk.is_open]

    def desk(self, link: str, among: Sequence[Desk]) -> Desk:
        """Return the link of this name, or the first."""
        return next((desk for desk in among if desk.end.link == link), among[0])

    async def spare_bits(self, keep_bits: int) -> int:
        """Return what this node can allocate where `keep_bits` stay on each link."""
        stocks = [await self._own_bits(desk) for desk in self.desks]
        return sum(max(0, bits - keep_bits) for bits in stocks)

    async def stock(self) -> Stock:
        """Return how much the links hold together."""
        stocks = [await self._storage.stats(desk.end.link) for desk in self.desks]
        return Stock(
            {each: sum(stock.bits[each] for stock in stocks) for each in stocks[0].bits},
            sum(stock.waiting_keys for stock in stocks),
            sum(stock.total_key_bits for stock in stocks),
            any(stock.is_simulated for stock in stocks),
        )

    async def spread(self, wish: Wish) -> list[tuple[Desk, Wish]]:
        """Return what to take from which of the open links, from the fullest first."""
        desks = self.open_desks()
        if not desks:
            raise ChannelError(f"the key manager of '{self.peer}' is away")
        if len(desks) == 1:
            return [(desks[0], wish)]
        stocks = [(await self._own_bits(desk), desk) for desk in desks]
        shares: list[tuple[Desk, Wish]] = []
        left = wish.number
        for bits, desk in sorted(stocks, key=lambda stock: -stock[0]):
            count = min(left, max(0, bits - wish.keep_bits) // wish.n_bits)
            if count > 0:
                at = wish.number - left
                names = wish.key_ids[at : at + count]
                shares.append((desk, dataclasses.replace(wish, number=count, key_ids=names)))
                left -= count
        if left > 0:
            raise KeyExhausted(f"the links to '{self.peer}' hold {left} keys too few together")
        return shares

    async def take_pad(self, n_bytes: int) -> tuple[int, Secret]:
        """Return one-time pad from the fullest link, and its offset with the link's place above."""
        desks = self.open_desks() or self.desks
        desk = desks[0] if len(desks) == 1 else await self._fullest(desks)
        pads = PADS[desk.end.side]
        async with desk.pads:
            try:
                offset, pad = await self._storage.take_pad(desk.end.link, pads, n_bytes)
            except KeyExhausted:
                await self._set_aside(desk, n_bytes)
                offset, pad = await self._storage.take_pad(desk.end.link, pads, n_bytes)
        return self.desks.index(desk) << LINK_SHIFT | offset, pad

    async def take_pad_at(self, offset: int, n_bytes: int) -> Secret:
        """Return the pad that the peer took at such an offset, once."""
        if not 0 <= offset < len(self.desks) << LINK_SHIFT:
            raise KeyExhausted(f"there is no pad at {offset}")
        end, offset = self.desks[offset >> LINK_SHIFT].end, offset % (1 << LINK_SHIFT)
        return await self._storage.take_pad_at(end.link, PADS[1 - end.side], offset, n_bytes)

    async def _set_aside(self, desk: Desk, n_bytes: int) -> None:
        end = desk.end
        if not desk.is_open:
            raise ChannelError(f"the key manager of '{desk.peer}' is away")
        stock = (await self._storage.stats(end.link)).bits
        missing = n_bytes - stock[PADS[end.side]] // 8
        batch = max(missing, min(PAD_BATCH_BYTES, stock[KEYS[end.side]] // 8 // PAD_SHARE))
        keys, pads = KEYS[end.side], PADS[end.side]
        offset, runs = await self._storage.set_aside(end.link, keys, pads, batch)
        is_certain = False
        try:
            await desk.ask(SetAside(end.link, offset, runs))
            is_certain = True
        finally:
            if not is_certain:  # also where who waits was cancelled
                await self._storage.burn_pads(end.link, pads)

    async def _fullest(self, desks: Sequence[Desk]) -> Desk:
        stocks = [await self._own_bits(desk) for desk in desks]
        return desks[stocks.index(max(stocks))]

    async def _own_bits(self, desk: Desk) -> int:
        return (await self._storage.stats(desk.end.link)).bits[KEYS[desk.end.side]]
