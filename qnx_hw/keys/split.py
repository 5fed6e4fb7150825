"""How a block of key is shared out; both parties do the same without a word."""

from __future__ import annotations

from qnx_hw.keys.ledger import Purpose
from qnx_hw.secret import Secret

TAG_BYTES_PER_BLOCK = 32
"""Two pads of 16 bytes per direction: one is what a block costs, one makes good a failed block."""


def split(block: int, key: Secret) -> dict[Purpose, Secret]:
    """Give each direction's tags their share, and the rest to Alice or Bob by turns.

    Even blocks are Alice's to allocate, odd ones Bob's. A short key gives the tags a quarter each.
    """
    octets = key.reveal()
    share = min(TAG_BYTES_PER_BLOCK, len(octets) // 4)
    rest = Purpose.KEY_FROM_BOB if block % 2 else Purpose.KEY_FROM_ALICE
    return {
        Purpose.TAG_FROM_ALICE: Secret(octets[:share]),
        Purpose.TAG_FROM_BOB: Secret(octets[share : 2 * share]),
        rest: Secret(octets[2 * share :]),
    }
