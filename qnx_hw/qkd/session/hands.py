"""Who does independent pieces of array work: an argument, so that sessions start no thread."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Made = TypeVar("Made")


class Hands(Protocol):
    """Does pieces of work that do not know of each other."""

    @abstractmethod
    def side_by_side(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        """Return what each piece returns, in their order; raise what one of them raised."""


class OneAfterAnother(Hands):
    """Does everything in the calling thread."""

    def side_by_side(self, works: Sequence[Callable[[], Made]]) -> list[Made]:
        return [work() for work in works]
