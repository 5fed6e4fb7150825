"""The blocking calls of what turns polarization: axes that move to a place and stand there."""

from __future__ import annotations

import math
from collections.abc import Sequence

from qnx_hw.instruments.conformance.call import N_TURNS, Call
from qnx_hw.instruments.families import PolarizationController
from qnx_hw.instruments.values import AxisRange


def polarization_calls(controller: PolarizationController) -> tuple[Call, ...]:
    """Return the calls of a polarization controller."""
    axes = controller.capabilities.axes

    def targets(turn: int) -> list[float]:
        return [_target(axis, turn) for axis in axes]

    def standing(turn: int, answer: object) -> str:
        assert isinstance(answer, tuple)
        if len(answer) != len(axes):
            return f"{len(axes)} axes report {len(answer)} places"
        found = (
            _axis_flaw(axis, value, wanted)
            for axis, value, wanted in zip(axes, answer, targets(turn), strict=True)
        )
        return next(filter(None, found), "")

    calls = [
        Call(
            "positions",
            lambda turn, s: controller.positions(timeout_s=s),
            lambda turn, answer: _places_flaw(answer, axes),
        ),
        Call(
            "move",
            lambda turn, s: controller.move(1, _target(axes[0], turn), timeout_s=s),
            lambda turn, value: _axis_flaw(axes[0], value, _target(axes[0], turn)),
            True,
        ),
        Call(
            "move_all",
            lambda turn, s: controller.move_all(targets(turn), timeout_s=s),
            standing,
            True,
        ),
    ]
    if controller.capabilities.has_home:
        calls.append(
            Call(
                "home",
                lambda turn, s: controller.home(1, timeout_s=s),
                lambda turn, value: _places_flaw((value,), axes[:1]),
                True,
            )
        )
    return tuple(calls)


def _target(axis: AxisRange, turn: int) -> float:
    """Return a place close to the lower end, so that the way is short."""
    return axis.low + (axis.high - axis.low) * (0.02 + 0.01 * (turn % N_TURNS))


def _axis_flaw(axis: AxisRange, value: object, wanted: float) -> str:
    assert isinstance(value, float | int)
    off = value - wanted
    if axis.periodic:
        off = math.remainder(off, axis.high - axis.low)
    tolerance = max(3 * axis.resolution, 0.003 * (axis.high - axis.low))
    return "" if abs(off) <= tolerance else f"an axis stands at {value:g}, not {wanted:g}"


def _places_flaw(answer: object, axes: Sequence[AxisRange]) -> str:
    assert isinstance(answer, tuple)
    if len(answer) != len(axes):
        return f"{len(axes)} axes report {len(answer)} places"
    for axis, value in zip(axes, answer, strict=True):
        slack = 0.01 * (axis.high - axis.low)
        if not axis.periodic and not axis.low - slack <= value <= axis.high + slack:
            return f"an axis stands at {value:g}, outside its range"
    return ""
