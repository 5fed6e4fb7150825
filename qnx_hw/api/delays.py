"""What the screens see of the delays between two detectors."""

from __future__ import annotations

from qnx_hw.api.value import Value


class DelaysView(Value, frozen=True, kw_only=True):
    """How the delays of a link's coincidences spread, for each pair of detectors.

    They are of the rounds of one block whose outcomes both stations published, never of a round
    that key is made of; so there are none before a block is judged, and fewer than coincidences.
    """

    name: str
    """The link."""
    block: int
    start_ps: int
    """Bob's time minus Alice's where the first bin begins."""
    bin_ps: int
    counts: tuple[tuple[tuple[int, ...], ...], ...]
    """Bins of Alice's H V D A, of each with Bob's H V D A; they cover the coincidence window."""
