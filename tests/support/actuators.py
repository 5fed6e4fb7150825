"""The actuators of the usual controllers, and a fibre to align behind each."""

from qnx_hw.control.polarization import Actuator, actuator_of
from qnx_hw.instruments.values import AxisKind, AxisRange, PolarizationCapabilities

PLATE = AxisRange(
    AxisKind.WAVE_PLATE_ANGLE, "deg", 0.0, 360.0, 0.001, periodic=True, speed_per_s=10.0
)
PADDLE = AxisRange(AxisKind.PADDLE_ANGLE, "deg", 0.0, 170.0, 0.12, speed_per_s=400.0)
SQUEEZER = AxisRange(AxisKind.SQUEEZER_VOLTAGE, "V", -5.0, 5.0, 0.001)
CRYSTAL = AxisRange(AxisKind.RETARDANCE_VOLTAGE, "V", 0.0, 25.0, 0.001)
AXES = {
    "plates": (PLATE,) * 3,
    "paddles": (PADDLE,) * 3,
    "squeezers": (SQUEEZER,) * 4,
    "crystals": (CRYSTAL,) * 3,
}


def actuator(kind: str) -> Actuator:
    """Return the model of a controller of this kind."""
    return actuator_of(PolarizationCapabilities(AXES[kind], 0.05, 5.0, True, True))
