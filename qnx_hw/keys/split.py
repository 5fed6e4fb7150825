"""How a block of key is shared out; both parties do the same from the same numbers."""

from __future__ import annotations

from qnx_hw.keys.ledger import Purpose
from qnx_hw.secret import Secret


def direction_of(block: int) -> Purpose:
    """Return the ledger that a block's keys go to: even ones are Alice's, odd ones Bob's."""
    return Purpose.KEY_FROM_BOB if block % 2 else Purpose.KEY_FROM_ALICE


def split(block: int, key: Secret, aside: tuple[int, int] = (0, 0)) -> dict[Purpose, Secret]:
    """Give each direction's tags what was set aside, and the rest to Alice or Bob by turns.

    `aside` counts bytes for Alice's and Bob's tags, the key's first ones.
    """
    octets = key.reveal()
    alice, both = aside[0], sum(aside)
    if min(aside) < 0 or both > len(octets):
        raise ValueError(f"a key of {len(octets)} bytes cannot give {aside} to the tags")
    return {
        Purpose.TAG_FROM_ALICE: Secret(octets[:alice]),
        Purpose.TAG_FROM_BOB: Secret(octets[alice:both]),
        direction_of(block): Secret(octets[both:]),
    }
