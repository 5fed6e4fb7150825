"""Notices a link whose session goes on while no block of it ends."""

from __future__ import annotations

LOOK_INTERVAL_S = 5.0
DISTILLING_S = 60.0
"""What a block may take besides its photons: its messages, and its turn behind others."""


class Pace:
    """Compares how long ago the last block ended with how long one may take."""

    def __init__(self, max_block_s: float, now_s: float) -> None:
        self._longest_s = 2 * max_block_s + DISTILLING_S
        self._ended = 0
        self._since_s = now_s
        self._is_told = False

    def look(self, ended: int, now_s: float) -> str:
        """Return what to tell; empty where nothing is new. `ended` counts blocks, good or not."""
        if ended != self._ended:
            self._ended, self._since_s, self._is_told = ended, now_s, False
        waited_s = now_s - self._since_s
        if self._is_told or waited_s < self._longest_s:
            return ""
        self._is_told = True
        return (
            f"no block has ended for {waited_s / 60:.0f} min: there are too few photons, or this "
            "machine or the way to the peer is too slow"
        )
