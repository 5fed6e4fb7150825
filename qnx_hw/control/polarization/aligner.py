"""The interface of everything that aligns a polarization: measurements in, settings out."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Protocol

from qnx_hw.api.loops import LoopState
from qnx_hw.control.polarization.measurement import Measurement


@dataclass(frozen=True, slots=True)
class Decision:
    """What to do after a measurement."""

    state: LoopState
    move_to: tuple[float, ...] | None
    """Where the axes should go, in their own units; None is to stay."""
    reason: str
    excess: float | None = None
    """Believed error rate above the optimum, where the axes stand now."""
    excess_sigma: float | None = None
    undoes: bool = False
    """Whether the move takes a bad step back."""
    stokes: tuple[float, float, float] | None = None
    """Where horizontal light of the far end arrives at the analyser."""


class Aligner(Protocol):
    """A policy without clock or wire; the same measurements give the same decisions."""

    @abstractmethod
    def observe(self, measurement: Measurement) -> Decision:
        """Take the counts of a setting that stood still and say what to do next."""

    @abstractmethod
    def restart(self) -> None:
        """Forget the channel and search again; what is known of the actuator stays."""
