"""Whether the two ends of a link hold the same key, by the digests of their blocks."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Set

from qnx_hw.keys.ledger import KEYS
from qnx_hw.keys.split import direction_of


def is_same_key(ours: Mapping[int, bytes], theirs: Mapping[int, bytes]) -> bool:
    """Whether two stores hold the same blocks, but for what is on its way or drawn already."""
    common = ours.keys() & theirs.keys()
    return (
        bool(common)
        and not gap(ours.keys(), theirs.keys())
        and all(secrets.compare_digest(ours[block], theirs[block]) for block in common)
    )


def gap(ours: Set[int], theirs: Set[int]) -> set[int]:
    """Return the blocks that one end lacks and should not.

    The newest may still be on its way to one end. Each end draws from the oldest blocks of its own
    direction, before the other end follows.
    """
    found = set()
    for direction in KEYS:
        both, one = (
            {block for block in blocks if direction_of(block) is direction}
            for blocks in (ours & theirs, ours ^ theirs)
        )
        newest, oldest = max(ours | theirs, default=0), min(both, default=math.inf)
        found |= {block for block in one if oldest < block < newest}
    return found
