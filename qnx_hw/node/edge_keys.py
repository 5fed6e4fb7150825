"""The node's key manager as its edge uses it."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from qnx_hw.edge.keysource import KEY_BYTES, KeySource, SharedKey, SharedPad, Stock
from qnx_hw.errors import QnxError
from qnx_hw.keys import Kme
from qnx_hw.secret import Secret

LOOK_INTERVAL_S = 1.0
SMOOTHING = 0.2


@dataclass(slots=True)
class _Seen:
    """What was seen of the stock with one peer."""

    stock: Stock
    drawn_bits: int = 0
    last_drawn_bits: int = 0
    last_s: float = 0.0


class KmeSource(KeySource):
    """Keys with the peers at the other ends of the node's links; `run` keeps the stock known."""

    def __init__(self, kme: Kme, capacity_bits: int) -> None:
        self._kme = kme
        self._capacity_bits = capacity_bits
        self._seen = {peer: _Seen(Stock(0, capacity_bits)) for peer in kme.peers}

    async def fresh(self, peer: str) -> SharedKey:
        """Return a new key."""
        ((key_id, secret),) = await self._kme.get(peer, 8 * KEY_BYTES)
        self._count(peer, 8 * KEY_BYTES)
        return SharedKey(key_id, secret)

    async def fetch(self, peer: str, key_id: str) -> Secret:
        """Return the key that the peer took."""
        (secret,) = await self._kme.get_by_id(peer, [key_id])
        return secret

    async def take_pad(self, peer: str, n_bytes: int) -> SharedPad:
        """Return fresh pad bytes."""
        address, secret = await self._kme.take_pad(peer, n_bytes)
        self._count(peer, 8 * n_bytes)
        return SharedPad(address, secret)

    async def pad_at(self, peer: str, address: int, n_bytes: int) -> Secret:
        """Return the pad bytes that the peer took."""
        return await self._kme.take_pad_at(peer, address, n_bytes)

    def stock(self, peer: str) -> Stock:
        """Return the stock as it was seen last."""
        seen = self._seen.get(peer)
        return seen.stock if seen is not None else Stock(0, self._capacity_bits)

    async def run(self) -> None:
        """Look at the stock each second."""
        while True:
            for peer, seen in self._seen.items():
                try:
                    bits = await self._kme.stock_bits(peer)
                except QnxError:
                    continue
                self._look(seen, bits)
            await asyncio.sleep(LOOK_INTERVAL_S)

    def _look(self, seen: _Seen, bits: int) -> None:
        now_s = time.monotonic()
        span_s, before = now_s - seen.last_s, seen.stock
        drawn = seen.drawn_bits - seen.last_drawn_bits
        out_bps = drawn / span_s
        in_bps = max(0.0, (bits - before.bits + drawn) / span_s) if seen.last_s else 0.0
        seen.stock = Stock(
            bits,
            self._capacity_bits,
            in_bps=before.in_bps + SMOOTHING * (in_bps - before.in_bps),
            out_bps=before.out_bps + SMOOTHING * (out_bps - before.out_bps),
        )
        seen.last_s, seen.last_drawn_bits = now_s, seen.drawn_bits

    def _count(self, peer: str, bits: int) -> None:
        self._seen[peer].drawn_bits += bits
