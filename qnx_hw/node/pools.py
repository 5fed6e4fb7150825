"""What the screens see of the keys that a node shares with each peer: amounts and rates."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from qnx_hw.api.traffic import PoolView
from qnx_hw.errors import StoreFailed
from qnx_hw.keys import KEYS, PADS, Kme

LOOK_INTERVAL_S = 1.0
SMOOTHING_S = 30.0
"""Rates are averaged over about this long: key comes in blocks, many seconds apart."""


@dataclass(slots=True)
class _Seen:
    at_s: float
    stock_bits: int
    total_bits: int
    """Of all blocks that ever came in."""
    in_bps: float = 0.0
    out_bps: float = 0.0


class Pools:
    """Looks at the stock with each peer once a second."""

    def __init__(
        self,
        kme: Kme,
        capacity_bits: int,
        reserve_bits: int,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._kme = kme
        self._capacity_bits = capacity_bits
        self._reserve_bits = reserve_bits
        self._now = now
        self._seen: dict[str, _Seen] = {}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for peer in self._kme.peers:
                with suppress(StoreFailed):  # the disk is full: it is looked again
                    await self.look(peer)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def look(self, peer: str) -> None:
        """Look at the stock with one peer; rates are by how it changed since the last look."""
        stock = await self._kme.stock(peer)
        bits = sum(stock.bits[each] for each in (*KEYS, *PADS))
        now, last = self._now(), self._seen.get(peer)
        seen = self._seen[peer] = _Seen(now, bits, stock.total_key_bits)
        if last is None or now <= last.at_s:
            return
        span_s = now - last.at_s
        came = seen.total_bits - last.total_bits
        went = max(0, last.stock_bits + came - bits)
        weight = min(1.0, span_s / SMOOTHING_S)
        seen.in_bps = last.in_bps + weight * (came / span_s - last.in_bps)
        seen.out_bps = last.out_bps + weight * (went / span_s - last.out_bps)

    def views(self) -> tuple[PoolView, ...]:
        """Return the stock with each peer as it was seen last."""
        return tuple(self._view(peer, seen) for peer, seen in self._seen.items())

    def _view(self, peer: str, seen: _Seen) -> PoolView:
        end = self._kme.end(peer)
        drain_bps = seen.out_bps - seen.in_bps
        return PoolView(
            name=f"{self._kme.node} {peer}",
            node=self._kme.node,
            peer=peer,
            link="" if end.is_relayed else ", ".join(self._kme.links(peer)),
            stock_bits=seen.stock_bits,
            capacity_bits=self._capacity_bits,
            reserve_bits=self._reserve_bits,
            in_bps=seen.in_bps,
            out_bps=seen.out_bps,
            exhausted_in_s=seen.stock_bits / drain_bps if drain_bps > 0 else None,
        )
