"""How much of a new key is set aside for the tags of later blocks.

Alice decides when she makes the key, from what her ledgers lack, and says so in the message that
draws the hashes: the seals cover it, so both ends cut the key alike, and what is set aside becomes
usable with the key's release and not before. A full ledger gets nothing, so a steady link sets
aside exactly what its tags cost, and no ledger grows beyond its full size.
"""

from __future__ import annotations

from qnx_hw.errors import BlockAborted

Aside = tuple[int, int]
"""Bytes set aside for Alice's tags and for Bob's."""

LEAST_SHARE_BYTES = 64
"""Two hashes and two tags: so much a ledger may get of a short key, up to `MOST_PART` of it."""
USUAL_PART, MOST_PART = 8, 4
"""A ledger that was emptied gets an eighth of a key, and a quarter of a short one."""


def set_aside(lacking: Aside, key_bytes: int) -> Aside:
    """Return what a key of `key_bytes` gives to ledgers that lack so many bytes."""
    limit = min(key_bytes // MOST_PART, max(LEAST_SHARE_BYTES, key_bytes // USUAL_PART))
    alice, bob = (max(0, min(limit, each)) for each in lacking)
    return alice, bob


def check_aside(aside: Aside, key_bytes: int) -> None:
    """Raise `BlockAborted` where the peer sets aside more than the rule lets anybody."""
    if max(aside) > key_bytes // MOST_PART:
        raise BlockAborted("the peer sets more of the key aside for tags than the rule allows")
