"""What the edge needs of the keys that its node holds in common with others."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from qnx_hw.secret import Secret

KEY_BYTES = 32


@dataclass(frozen=True, slots=True, eq=False)
class SharedKey:
    """A key that was handed out for the first time, and the name the peer finds it under."""

    key_id: str
    secret: Secret


@dataclass(frozen=True, slots=True, eq=False)
class SharedPad:
    """Pad bytes that were taken for good, and where the peer finds them."""

    address: int
    secret: Secret


@dataclass(frozen=True, slots=True)
class Stock:
    """How much key waits for traffic with a peer."""

    bits: int
    capacity_bits: int
    in_bps: float = 0.0
    out_bps: float = 0.0
    reserve_bits: int = 0


class KeySource(Protocol):
    """Keys in common with peers; every bit leaves once, and its use is durable before it leaves.

    All methods belong to the event loop's thread. `KeyExhausted` where there is not enough key,
    `Conflict` where it was handed out before.
    """

    @abstractmethod
    async def fresh(self, peer: str) -> SharedKey:
        """Return a new key of `KEY_BYTES` for what this node sends to `peer`."""

    @abstractmethod
    async def fetch(self, peer: str, key_id: str) -> Secret:
        """Return the key that `peer` took under this name; once."""

    @abstractmethod
    async def take_pad(self, peer: str, n_bytes: int) -> SharedPad:
        """Return fresh pad bytes for what this node sends to `peer`."""

    @abstractmethod
    async def pad_at(self, peer: str, address: int, n_bytes: int) -> Secret:
        """Return the pad bytes that `peer` took at an address; once."""

    @abstractmethod
    def stock(self, peer: str) -> Stock:
        """Return how much key there is now."""
