"""Values of the key store: where secret bytes lie and where they came from."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from qnx_hw.secret import Secret

BLOCK_SHIFT = 32
"""An address is `block << 32 | offset in bytes`, so both parties name a byte alike even when one
of them never released some block."""


class Purpose(StrEnum):
    """What the bytes of a ledger are for, and which party takes them first.

    Each party allocates only from its own direction, so the two never have to agree on a turn.
    """

    KEY_FROM_ALICE = "key-from-alice"
    KEY_FROM_BOB = "key-from-bob"
    TAG_FROM_ALICE = "tag-from-alice"
    TAG_FROM_BOB = "tag-from-bob"


KEYS = (Purpose.KEY_FROM_ALICE, Purpose.KEY_FROM_BOB)
TAGS = (Purpose.TAG_FROM_ALICE, Purpose.TAG_FROM_BOB)


@dataclass(frozen=True, slots=True)
class Provenance:
    """Where a block of key came from; kept beside it, all public."""

    is_simulated: bool
    made_s: float
    """Unix time."""
    protocol: str = "bbm92"
    qber: float | None = None
    epsilon: float | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Portion:
    """Secret bytes that left a ledger, once and for all."""

    address: int
    secret: Secret

    @property
    def block(self) -> int:
        """The block these bytes were made in."""
        return self.address >> BLOCK_SHIFT


@dataclass(frozen=True, slots=True, eq=False)
class Pending:
    """A key that waits for the peer's release; nothing of it may be used."""

    block: int
    token: Secret
    key: Secret
    provenance: Provenance


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What a link's next session must know of the earlier ones."""

    next_block: int
    """Larger than every block number ever begun."""
    released: tuple[int, Secret] | None
    """The last block released to the peer, and its token."""
    pending: Pending | None


def address_of(block: int, offset: int = 0) -> int:
    """Return the address of a byte of a block."""
    if block < 0 or not 0 <= offset < 1 << BLOCK_SHIFT:
        raise ValueError(f"there is no byte {offset} in block {block}")
    return block << BLOCK_SHIFT | offset
