"""Where a session takes its random bits from: an argument, never a global."""

from __future__ import annotations

import secrets
from abc import abstractmethod
from typing import Protocol


class Randomness(Protocol):
    """A source of independent, uniform bytes."""

    @abstractmethod
    def octets(self, count: int) -> bytes:
        """Return `count` fresh random bytes."""


class SystemRandomness(Randomness):
    """The operating system's generator; what production uses."""

    def octets(self, count: int) -> bytes:
        return secrets.token_bytes(count)
