"""A polarization controller as a loop's actuator."""

from __future__ import annotations

from collections.abc import Callable

from qnx_hw.api.loops import ActuatorAxis
from qnx_hw.control.loop import Actuation
from qnx_hw.control.polarization.actuator import Actuator
from qnx_hw.instruments.families import PolarizationController
from qnx_hw.instruments.values import AxisRange


class ControllerActuation(Actuation):
    """Moves a controller by its driver; axes with backlash are always reached from below."""

    def __init__(
        self,
        reach: Callable[[Callable[[PolarizationController], tuple[float, ...]]], tuple[float, ...]],
        actuator: Actuator,
    ) -> None:
        """`reach` calls a function with the connected controller, wherever it is kept."""
        self._reach = reach
        self._actuator = actuator
        self._stands: tuple[float, ...] | None = None

    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return the axes as the controller's capabilities have them."""
        return tuple(
            ActuatorAxis(name=f"axis {n}", unit=axis.unit, low=axis.low, high=axis.high)
            for n, axis in enumerate(self._actuator.axes, start=1)
        )

    def positions(self) -> tuple[float, ...]:
        """Return where the axes stand."""
        self._stands = self._wrapped(self._reach(lambda controller: controller.positions()))
        return self._stands

    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Go there, from below where that matters."""
        goal = tuple(map(_rounded, values, self._actuator.axes))
        via = self._actuator.approach(self._stands, goal) if self._stands else None

        def go(controller: PolarizationController) -> tuple[float, ...]:
            if via is not None:
                controller.move_all(via)
            return controller.move_all(goal)

        self._stands = None
        self._stands = self._wrapped(self._reach(go))
        return self._stands

    def make_safe(self) -> None:
        """Stop all motion; where paddles and plates stand harms nothing."""
        self._reach(_stop)

    def _wrapped(self, values: tuple[float, ...]) -> tuple[float, ...]:
        return tuple(
            axis.low + (value - axis.low) % (axis.high - axis.low) if axis.periodic else value
            for value, axis in zip(values, self._actuator.axes, strict=True)
        )


def _rounded(value: float, axis: AxisRange) -> float:
    """Return the nearest value that the axis can stand at."""
    steps = round((value - axis.low) / axis.resolution)
    return min(max(axis.low + steps * axis.resolution, axis.low), axis.high)


def _stop(controller: PolarizationController) -> tuple[float, ...]:
    controller.stop()
    return ()
