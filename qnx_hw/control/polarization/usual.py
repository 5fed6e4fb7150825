"""The usual controllers, for rehearsals and replays without the instrument."""

from __future__ import annotations

from qnx_hw.control.polarization.actuator import Actuator, actuator_of
from qnx_hw.instruments.values import AxisKind, AxisRange, PolarizationCapabilities

# Limits, speeds, settling and rates as the drivers of K10CR1, MPC320, EPC-400 and LCC25 have them.
_PLATE = AxisRange(
    AxisKind.WAVE_PLATE_ANGLE, "deg", 0.0, 360.0, 0.001, periodic=True, speed_per_s=10.0
)
_PADDLE = AxisRange(AxisKind.PADDLE_ANGLE, "deg", 0.0, 170.0, 170 / 1370, speed_per_s=400.0)
_SQUEEZER = AxisRange(AxisKind.SQUEEZER_VOLTAGE, "V", -5.0, 5.0, 0.001)
_CRYSTAL = AxisRange(AxisKind.RETARDANCE_VOLTAGE, "V", 0.0, 25.0, 0.001)
CAPABILITIES = {
    "plates": PolarizationCapabilities((_PLATE,) * 3, 0.05, 1.0, True, True),
    "paddles": PolarizationCapabilities((_PADDLE,) * 3, 0.05, 5.0, True, True),
    "squeezers": PolarizationCapabilities((_SQUEEZER,) * 4, 0.001, 6.0, True, False),
    "crystals": PolarizationCapabilities((_CRYSTAL,) * 3, 0.05, 20.0, True, False),
}
KINDS = tuple(CAPABILITIES)


def usual(kind: str) -> Actuator:
    """Return three rotators, an MPC320, an EPC-400 or three crystals, by one of `KINDS`."""
    return actuator_of(CAPABILITIES[kind])
