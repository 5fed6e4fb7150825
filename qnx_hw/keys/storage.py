"""What a key manager needs of a store, whatever database lies below it.

Every change is on disk before its method returns, and many that wait share one commit. A second
implementation keeps three promises: no byte of a ledger is handed out twice, a key that waits is
handed out once to each of its holders, and a mark never goes back.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Protocol

from qnx_hw.keys.ledger import Allotment, Order, Purpose, Run, Stock, Wish
from qnx_hw.secret import Secret


class KeyStorage(Protocol):
    """Keys with names."""

    @abstractmethod
    async def reserve(self, link: str, purpose: Purpose, wish: Wish) -> Allotment:
        """Cut new keys from this node's own direction of a link; `KeyExhausted` where too few."""

    @abstractmethod
    async def accept(self, link: str, purpose: Purpose, order: Order) -> None:
        """Cut the keys that the peer reserved from its direction, and keep them for holders."""

    @abstractmethod
    async def keep(self, link: str, order: Order, octets: Secret) -> None:
        """Keep keys for holders that came from elsewhere, one after the other in `octets`."""

    @abstractmethod
    async def take(self, holder: str, master: str, key_ids: Sequence[str]) -> list[Secret]:
        """Hand out keys to one of their holders, all or none, once.

        `NotEntitled` where one of them waits for others only, `KeyNotFound` where one is not here.
        """

    @abstractmethod
    async def expires_s(self, holder: str, master: str, key_id: str) -> float:
        """Return until when a key waits for a holder, in Unix time; raises as `take` does."""

    @abstractmethod
    async def waiting(self, link: str, master: str) -> tuple[str, ...]:
        """Return the names of the keys of a master's that wait here."""

    @abstractmethod
    async def void(self, link: str, master: str, key_ids: Sequence[str]) -> frozenset[str]:
        """Delete keys that wait here; which were there."""

    @abstractmethod
    async def expire(self) -> int:
        """Delete the keys that nobody fetched in time; how many."""

    @abstractmethod
    async def stats(self, link: str) -> Stock:
        """Return how much a link holds."""


class MarkStorage(Protocol):
    """How far each ledger was used, as two nodes remember it of each other."""

    @abstractmethod
    async def marks(self, link: str) -> dict[str, int]:
        """Return how far each ledger of a link was used, for the peer to remember."""

    @abstractmethod
    async def meet(self, link: str, own: Sequence[str], theirs: Mapping[str, int]) -> bool:
        """Go beyond all the peer remembers; whether this store had forgotten some of it.

        `own` names the ledgers that move here first: where the peer is ahead in one of them, this
        store is an old copy, and the keys that wait in it may have been fetched before.
        """

    @abstractmethod
    async def remember_fetched(self, link: str, side: int, count: int) -> None:
        """Remember how many keys were fetched at the other end."""


class PadStorage(Protocol):
    """One-time pads for data: streams of their own, filled from the keys of one direction."""

    @abstractmethod
    async def set_aside(
        self, link: str, source: Purpose, pads: Purpose, n_bytes: int
    ) -> tuple[int, tuple[Run, ...]]:
        """Move the next bytes of this node's keys to its pads; return to which offset, and which.

        The pads' offsets only grow, also over what the peer never confirmed.
        """

    @abstractmethod
    async def accept_pads(
        self, link: str, source: Purpose, offset: int, runs: Sequence[Run]
    ) -> None:
        """Move the bytes that the peer set aside from its keys to its pads."""

    @abstractmethod
    async def take_pad(self, link: str, pads: Purpose, n_bytes: int) -> tuple[int, Secret]:
        """Hand out the next bytes of this node's pads."""

    @abstractmethod
    async def take_pad_at(self, link: str, pads: Purpose, offset: int, n_bytes: int) -> Secret:
        """Hand out the bytes that the peer took at `offset`, once, in any order."""

    @abstractmethod
    async def burn_pads(self, link: str, pads: Purpose) -> None:
        """Give up all pads of one direction that wait."""


class Storage(KeyStorage, MarkStorage, PadStorage, Protocol):
    """All of it."""
