"""Values of the key store: where secret bytes lie and where they came from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

import msgspec

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
    PAD_FROM_ALICE = "pad-from-alice"
    """One-time pads for user data, moved here from the keys of the same party; a stream of its
    own, addressed by offset."""
    PAD_FROM_BOB = "pad-from-bob"


Place = Annotated[int, msgspec.Meta(ge=0, le=1 << 62)]
"""An address or offset as a peer may name it; checked where its message is read."""
Count = Annotated[int, msgspec.Meta(ge=1, le=1 << 30)]

KEYS = (Purpose.KEY_FROM_ALICE, Purpose.KEY_FROM_BOB)
TAGS = (Purpose.TAG_FROM_ALICE, Purpose.TAG_FROM_BOB)
PADS = (Purpose.PAD_FROM_ALICE, Purpose.PAD_FROM_BOB)
TAKEN = ("taken-by-alice", "taken-by-bob")
"""Counters kept like cursors: how many named keys were fetched at each end."""


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
    aside: tuple[int, int] = (0, 0)
    """Bytes of the key that are for Alice's tags and for Bob's, its first ones."""


@dataclass(frozen=True, slots=True, eq=False)
class First:
    """What a link's authentication starts from, beside its pads."""

    identity: str
    """A public name by which the parties see that they hold the same."""
    kept: Secret
    """Hash keys, then the channel key."""


@dataclass(frozen=True, slots=True, eq=False)
class Memory:
    """What a link's next session must know of the earlier ones."""

    next_block: int
    """Larger than every block number ever begun."""
    released: tuple[int, Secret] | None
    """The last block released to the peer, and its token."""
    pending: Pending | None


@dataclass(frozen=True, slots=True)
class Run:
    """Keys of one size that lie side by side in a ledger; of one byte where no size is said."""

    address: Place
    count: Count


@dataclass(frozen=True, slots=True)
class Quota:
    """What somebody may take in a day of UTC."""

    master: str
    bits_per_day: int


@dataclass(frozen=True, slots=True)
class Wish:
    """Keys somebody wants."""

    n_bits: int
    """A multiple of 8."""
    number: int = 1
    keep_bits: int = 0
    """What must be left afterwards."""
    may_be_simulated: bool = True
    quota: Quota | None = None
    key_ids: tuple[str, ...] = ()
    """Their names, where who asks has some; random ones otherwise."""


@dataclass(frozen=True, slots=True, eq=False)
class NamedKey:
    """A key and the public name by which the other party asks for it."""

    key_id: str
    secret: Secret


@dataclass(frozen=True, slots=True, eq=False)
class NamedKeys:
    """Keys of one size with their names, one after the other."""

    key_ids: tuple[str, ...]
    octets: Secret

    def __len__(self) -> int:
        return len(self.key_ids)

    def __iter__(self) -> Iterator[NamedKey]:
        for key_id, octets in zip(self.key_ids, self.cut(), strict=True):
            yield NamedKey(key_id, Secret(octets))

    def cut(self) -> list[bytes]:
        """Return the bytes of each key; the caller answers for where they go."""
        whole, n_bytes = self.octets.reveal(), len(self.octets) // len(self.key_ids)
        return [whole[at : at + n_bytes] for at in range(0, len(whole), n_bytes)]


@dataclass(frozen=True, slots=True, eq=False)
class Allotment:
    """Keys cut from a ledger, and where they lay, in the same order."""

    runs: tuple[Run, ...]
    keys: NamedKeys


@dataclass(frozen=True, slots=True)
class Order:
    """What the peer cut from its direction, for whom, and until when; all public."""

    key_ids: tuple[str, ...]
    runs: tuple[Run, ...]
    n_bits: Count
    master: str
    holders: tuple[str, ...]
    expires_s: float
    """Unix time."""
    may_be_simulated: bool = True


@dataclass(frozen=True, slots=True)
class Stock:
    """How much a link holds at one node."""

    bits: Mapping[Purpose, int]
    waiting_keys: int
    """Keys the peer reserved that were not fetched here yet."""
    total_key_bits: int
    """What all blocks brought for keys, used or not."""
    is_simulated: bool = False
    """Whether any of the key that is left was made on simulated instruments."""


def address_of(block: int, offset: int = 0) -> int:
    """Return the address of a byte of a block."""
    if block < 0 or not 0 <= offset < 1 << BLOCK_SHIFT:
        raise ValueError(f"there is no byte {offset} in block {block}")
    return block << BLOCK_SHIFT | offset
