"""What authenticates a block: tags from a secret, or signatures in a link's first session.

A seal covers a transcript in parts both ends cut alike, and binds the link, the direction, and the
block's number. Which kind a party takes is settled by what it holds, never by what the peer says:
a seal of the other kind is one that fails.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from qnx_hw.qkd.refill import Aside
from qnx_hw.qkd.roles import Role

DIRECTIONS = {Role.ALICE: b"\x01", Role.BOB: b"\x02"}


class Sealer(Protocol):
    """One party's way to seal what was said, and to check the peer's seals."""

    @abstractmethod
    def seal(self, block: int, parts: Iterable[bytes]) -> bytes:
        """Return the seal of a block's transcript."""

    @abstractmethod
    def check(self, block: int, parts: Iterable[bytes], seal: bytes) -> None:
        """Raise `AuthenticationError` unless the peer sealed the same transcript."""

    @abstractmethod
    def set_aside(self, key_bytes: int) -> Aside:
        """Return how much of a new key is to be set aside for later tags."""

    @property
    def first_key_bytes(self) -> int:
        """How long a link's first key must be; a session ends with it. 0 where there is one."""
        return 0


class LateSealer(Sealer):
    """Chooses when it is needed first, by what is stored then, and stays with that."""

    def __init__(self, choose: Callable[[], Sealer]) -> None:
        self._choose = choose
        self._made: Sealer | None = None

    @property
    def _chosen(self) -> Sealer:
        if self._made is None:
            self._made = self._choose()
        return self._made

    def seal(self, block: int, parts: Iterable[bytes]) -> bytes:
        return self._chosen.seal(block, parts)

    def check(self, block: int, parts: Iterable[bytes], seal: bytes) -> None:
        self._chosen.check(block, parts, seal)

    def set_aside(self, key_bytes: int) -> Aside:
        return self._chosen.set_aside(key_bytes)

    @property
    def first_key_bytes(self) -> int:
        return self._chosen.first_key_bytes


def sealed_text(
    context: bytes, author: Role, block: int, link: str, parts: Iterable[bytes]
) -> Iterator[bytes]:
    """Yield what a seal covers; the link and every part have their length before them."""
    yield context + DIRECTIONS[author]
    yield block.to_bytes(8, "big")
    for part in (link.encode(), *parts):
        yield len(part).to_bytes(8, "big")
        yield part
