"""Tells when a peer's key manager goes or comes, and when the keys shared with it run low."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from qnx_hw.api.schema import Level
from qnx_hw.api.teller import Teller
from qnx_hw.errors import StoreFailed
from qnx_hw.keys import Kme

STOCK_OF = "keys for"
"""Begins what an event about a stock of keys is about; the peer follows."""
LOOK_INTERVAL_S = 0.5
RECOVERED = 2
"""Stock counts as recovered at so many times the mark, so that it is not told again and again."""


@dataclass(slots=True)
class _Told:
    is_here: bool = False
    is_low: bool | None = None
    """None of a stock that never was above its mark: a network starts without keys."""


class KeyWatch:
    """Looks at each peer twice a second."""

    def __init__(self, kme: Kme, low_bits: int, tell: Teller) -> None:
        self._kme = kme
        self._low_bits = low_bits
        self._tell = tell
        self._told = {peer: _Told() for peer in kme.peers}

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            for peer in self._told:
                with suppress(StoreFailed):  # the disk is full: it is looked again
                    await self.look(peer)
            await asyncio.sleep(LOOK_INTERVAL_S)

    async def look(self, peer: str) -> None:
        """Tell what changed with one peer since the last look."""
        told = self._told[peer]
        is_here = self._kme.is_connected(peer)
        if is_here != told.is_here:
            told.is_here = is_here
            level = Level.OK if is_here else Level.WARNING
            state = "can be reached" if is_here else "is away: no keys with it until it is back"
            words = f"the key manager of {peer} {state}"
            self._tell(level, self._kme.node, words, f"key manager of {peer}")
        bits = await self._kme.stock_bits(peer)
        about = f"{STOCK_OF} {peer}"
        if told.is_low is None and bits >= self._low_bits:
            self._tell(Level.INFO, self._kme.node, f"{about} are in stock", about)
            told.is_low = False
        elif told.is_low and bits >= RECOVERED * self._low_bits:
            self._tell(Level.OK, self._kme.node, f"{about} are in stock again", about)
            told.is_low = False
        elif told.is_low is False and bits < self._low_bits:
            words = f"{about} run low: {bits} bits are left"
            self._tell(Level.WARNING, self._kme.node, words, about)
            told.is_low = True
