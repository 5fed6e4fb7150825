"""When a block ends before its span: it is full already, or its light is gone.

A span is fixed from the rate seen before the block. Where the rate changes much, that span is no
good: a block planned in the dark would stay open for minutes after the light is back, and one whose
light went out would wait for nothing. Alice then asks Bob to end the block with his next events.

Sound, because the rule sees only how many of Bob's events have a partner, which is published with
the pairs anyway and which an eavesdropper may choose; it sees no basis and no outcome, and bases
are told only after the block's last event. Which rounds a block has does not matter to the bounds
on its errors: the test sample is drawn at random among them afterwards.
"""

from __future__ import annotations

FULL = 1.25
"""A block with so many times the wanted rounds is full; usual spans bring less."""
DARK = 0.1
"""Light below this part of what was planned with is gone."""
DARK_S = 2.0
LEAST_EXPECTED = 50
"""Or as long as it takes to expect so many pairs: fewer could be missing by chance."""


class Cut:
    """Watches one block's pairs and says when it should end early."""

    def __init__(self, planned_hz: float, wanted_pairs: float) -> None:
        """`planned_hz` is the rate of pairs that the span was fixed from."""
        self._planned_hz = planned_hz
        self._full_pairs = FULL * wanted_pairs
        self._look_s = max(DARK_S, LEAST_EXPECTED / planned_hz)
        self._pairs = 0
        self._recent_pairs = 0
        self._recent_s = 0.0

    def is_due(self, span_s: float, pairs: int) -> bool:
        """Take the next span's pairs; whether the block should end now."""
        self._pairs += pairs
        self._recent_pairs += pairs
        self._recent_s += span_s
        if self._pairs >= self._full_pairs:
            return True
        if self._recent_s < self._look_s:
            return False
        is_dark = self._recent_pairs < DARK * self._planned_hz * self._recent_s
        self._recent_pairs, self._recent_s = 0, 0.0
        return is_dark
