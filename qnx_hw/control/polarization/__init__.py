"""Polarization alignment as pure policy: counts in, settings out."""

from qnx_hw.control.polarization.actuator import Actuator, actuator_of
from qnx_hw.control.polarization.algorithms import ALGORITHMS, make
from qnx_hw.control.polarization.aligner import Aligner, Decision
from qnx_hw.control.polarization.measurement import Measurement
from qnx_hw.control.polarization.model_based import ModelBased

__all__ = [
    "ALGORITHMS",
    "Actuator",
    "Aligner",
    "Decision",
    "Measurement",
    "ModelBased",
    "actuator_of",
    "make",
]
