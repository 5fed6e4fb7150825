"""The interface of every closed loop's policy: what was seen goes in, where to go comes out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol, TypeVar

from qnx_hw.api.loops import LoopState


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after something was seen."""

    state: LoopState
    move_to: tuple[float, ...] | None
    """Where the axes should go, in their own units; None is to stay."""
    reason: str
    excess: float | None = None
    """How far from the optimum the loop believes it stands; for polarization, in error rate."""
    excess_sigma: float | None = None
    undoes: bool = False
    """Whether the move takes a bad step back."""
    finds: bool = False
    """Whether the instrument is to find the values by a procedure of its own."""
    stokes: tuple[float, float, float] | None = None
    """Where horizontal light of the far end arrives at the analyser; polarization only."""


class Seen(Protocol):
    """What a policy looks at, as numbers for the log."""

    @property
    @abstractmethod
    def values(self) -> tuple[float, ...]:
        """Where the axes stood."""

    @abstractmethod
    def numbers(self) -> tuple[float, ...]:
        """Return everything else; with `values` it makes the same again."""


What_contra = TypeVar("What_contra", bound=Seen, contravariant=True)


class Policy(Protocol[What_contra]):
    """A policy without clock or wire: what it saw so far alone decides."""

    @abstractmethod
    def observe(self, seen: What_contra) -> Decision:
        """Take what was seen while the axes stood still and say what to do next."""

    @abstractmethod
    def restart(self) -> None:
        """Search again; what is known of the actuator may stay."""
