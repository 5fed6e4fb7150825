"""What can go wrong with an instrument, and who can make it happen."""

from __future__ import annotations

from abc import abstractmethod
from enum import StrEnum
from typing import Protocol


class Sabotage(StrEnum):
    """One way for an instrument or its wire to misbehave."""

    UNPLUG = "unplug"
    """The wire breaks, and nobody answers until it is healed."""
    SILENCE = "silence"
    """What the instrument sends is lost until it is healed."""
    SLOW = "slow"
    """What the instrument sends comes later than usual."""
    GARBAGE = "garbage byte"
    """One stray byte before what the instrument sends next."""
    SPLIT = "split"
    """Messages come in pieces."""
    MERGE = "merge"
    """Several messages come in one piece."""
    LATE_REPLY = "late reply"
    """A reply comes after its request was given up, just when the next one was sent."""
    SLIP = "2-byte slip"
    """The last two bytes of what the instrument sends next are missing, and with them its end.

    Two digits lost from a text without a checksum nobody can notice; that is not tried."""
    LOST_COMPLETION = "lost completion"
    """The report that a motion is over is not sent."""
    OVERFLOW = "overflow"
    """The instrument loses data."""
    DEVICE_ERROR = "device error"
    """The instrument reports an error of its own."""


class Saboteur(Protocol):
    """Makes things go wrong, from any thread."""

    @property
    @abstractmethod
    def skills(self) -> frozenset[Sabotage]:
        """What it can make happen."""

    @abstractmethod
    def strike(self, sabotage: Sabotage) -> None:
        """Let it happen from now on, or once, as its nature is."""

    @abstractmethod
    def heal(self) -> None:
        """Let everything be as it should; what was held back comes late, but in order."""
