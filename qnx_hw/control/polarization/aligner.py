"""What aligns a polarization: counts in, settings out."""

from __future__ import annotations

from typing import TypeAlias

from qnx_hw.control.polarization.measurement import Measurement
from qnx_hw.control.policy import Decision, Policy

Aligner: TypeAlias = Policy[Measurement]

__all__ = ["Aligner", "Decision"]
