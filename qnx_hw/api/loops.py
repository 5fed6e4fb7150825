"""What the screens see of closed loops: what was asked of an actuator, what stands, how well."""

from __future__ import annotations

from enum import StrEnum

from qnx_hw.api.value import Estimate, Value


class LoopState(StrEnum):
    """What a loop is doing."""

    IDLE = "idle"
    SEARCHING = "searching"
    TRACKING = "tracking"
    HOLDING = "holding"
    """Told to leave its actuator alone."""
    FAULT = "fault"


class ActuatorAxis(Value, frozen=True, kw_only=True):
    """One axis that a loop moves."""

    name: str
    unit: str
    low: float
    high: float
    requested: float | None = None
    actual: float | None = None
    """What the instrument said after the last move."""


class LoopView(Value, frozen=True, kw_only=True):
    """A closed loop."""

    name: str
    """Unique in the network, e.g. `alice-bob polarization`."""
    node: str
    link: str
    kind: str
    """`polarization`, `delay`, `window`, `bias`, `source_power`, `attenuation`."""
    instrument: str = ""
    state: LoopState
    message: str = ""
    algorithm: str = ""
    algorithms: tuple[str, ...] = ()
    """What `algorithm` may be set to."""
    target: float | None = None
    residual: Estimate = Estimate()
    """How far from the optimum the loop believes it is, in `unit`."""
    unit: str = ""
    axes: tuple[ActuatorAxis, ...] = ()
    stokes: tuple[tuple[float, float, float], ...] = ()
    """Newest estimates of the state on the Poincaré sphere, oldest first; polarization only."""
    settings_used: int = 0
    moves_undone: int = 0
    relocks: int = 0
