"""Which ends of sessions are news: a trouble that lasts once, none that soon passes."""

from __future__ import annotations

from collections import Counter

from qnx_hw.api.schema import Level

MOST_REASONS = 8
"""So many reasons of sessions that failed are remembered until a block is made."""
TOLD = 2
"""A trouble before a session began is told when it comes so often; from then on it is known."""


class Complaints:
    """Why sessions of a link ended since its last block, and how often."""

    def __init__(self) -> None:
        self._counts: Counter[str] = Counter()

    def forget(self) -> None:
        """Take every reason for a new one from now on."""
        self._counts.clear()

    def is_news(self, level: Level, reason: str, *, had_begun: bool) -> bool:
        """Whether to tell why a session ended, which had begun or was still being agreed on."""
        if len(self._counts) > MOST_REASONS:
            self.forget()
        before = self._counts[reason]
        if level is not Level.WARNING:
            self._counts[reason] = TOLD
            return had_begun or not before
        # Before a session began it is often a peer who has just not come yet.
        self._counts[reason] = TOLD if had_begun else before + 1
        return before < TOLD <= self._counts[reason]
