"""The thin part of every closed loop: holds a policy and an actuator, and keeps both in bounds.

A loop owns no thread and no clock: whoever has something to show it calls `observe`, which may
block while the actuator moves. Held, it looks at nothing and moves nothing. A move that fails is
counted and shown; the actuator is asked where it stands before anything else is believed of it.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import msgspec

from qnx_hw.api.loops import ActuatorAxis, LoopState, LoopView
from qnx_hw.api.value import Estimate
from qnx_hw.control.decision_log import Chosen, DecisionLog, Knows
from qnx_hw.control.policy import Decision, Policy, Seen
from qnx_hw.errors import ConfigError, InstrumentError

log = logging.getLogger(__name__)

What = TypeVar("What", bound=Seen)
SHOWN_STOKES = 50
FAILURES_TO_FAULT = 3


class Actuation(Protocol):
    """What a loop moves; calls block and raise `InstrumentError`."""

    @abstractmethod
    def axes(self) -> tuple[ActuatorAxis, ...]:
        """Return names, units and limits of the axes."""

    @abstractmethod
    def positions(self) -> tuple[float, ...]:
        """Return where the axes stand."""

    @abstractmethod
    def move(self, values: tuple[float, ...]) -> tuple[float, ...]:
        """Go there and return where the axes really stand."""

    def find(self) -> tuple[float, ...]:
        """Have the instrument find its values, and return them; few can."""
        raise InstrumentError("this actuator finds no values by itself")

    @abstractmethod
    def make_safe(self) -> None:
        """Stop what moves and leave the actuator where nothing can be harmed."""


@dataclass(frozen=True, slots=True)
class Title:
    """What a loop is, for the screens."""

    name: str
    node: str
    link: str
    kind: str
    instrument: str = ""
    unit: str = ""


class Loop(Generic[What]):
    """One policy on one actuator."""

    def __init__(
        self,
        title: Title,
        actuation: Actuation,
        make_policy: Callable[[str, float], Policy[What]],
        *,
        algorithms: tuple[str, ...],
        target: float | None = None,
        log: DecisionLog | None = None,
    ) -> None:
        """`make_policy` takes an algorithm's name and the target; the first algorithm is used.

        Without a target there is none to choose, and policies get 0.
        """
        self._actuation = actuation
        self._make_policy = make_policy
        self._policy = make_policy(algorithms[0], target or 0.0)
        self._log = log
        self._failures = 0
        self._knows = Knows.NOTHING
        self._values: tuple[float, ...] | None = None
        self._stokes: deque[tuple[float, float, float]] = deque(maxlen=SHOWN_STOKES)
        self._view = LoopView(
            name=title.name,
            node=title.node,
            link=title.link,
            kind=title.kind,
            instrument=title.instrument,
            unit=title.unit,
            state=LoopState.IDLE,
            algorithm=algorithms[0],
            algorithms=algorithms,
            target=target,
        )

    @property
    def view(self) -> LoopView:
        """How the loop is."""
        return self._view

    def hold(self) -> None:
        """Leave the actuator alone until told otherwise."""
        self._show(state=LoopState.HOLDING, message="held by the operator")

    def resume(self) -> None:
        """Go on from what was known when it was held."""
        if self._view.state is LoopState.HOLDING:
            self._show(state=LoopState.IDLE, message="")

    def relock(self) -> None:
        """Forget what was found and search anew, held or not."""
        self._restart()
        self._failures = 0
        self._show(
            state=LoopState.SEARCHING, message="searching anew", relocks=self._view.relocks + 1
        )

    def choose(self, *, algorithm: str | None = None, target: float | None = None) -> None:
        """Change algorithm or target; the new policy starts without knowledge."""
        algorithm = self._view.algorithm if algorithm is None else algorithm
        if algorithm not in self._view.algorithms:
            known = ", ".join(self._view.algorithms)
            raise ConfigError(f"loop '{self._view.name}' has no algorithm '{algorithm}'; {known}")
        if target is not None and self._view.target is None:
            raise ConfigError(f"loop '{self._view.name}' has no target to set")
        target = self._view.target if target is None else target
        self._policy, self._knows = self._make_policy(algorithm, target or 0.0), Knows.NOTHING
        self._show(algorithm=algorithm, target=target)

    def observe(self, see: Callable[[tuple[float, ...]], What | None]) -> bool:
        """Show the policy what was seen at the present setting and obey it; True if it moved.

        `see` takes where the axes stand and returns what was seen there, or None for nothing; it
        may ask an instrument of its own. Who cannot see makes the actuator safe.
        """
        if self._view.state is LoopState.HOLDING:
            return False
        try:
            if self._values is None:
                self._values = self._actuation.positions()
                self._show_axes(None)
            seen = see(self._values)
        except InstrumentError as error:
            self._failed(error)
            if self._view.state is LoopState.FAULT:
                self._make_safe()
                self._restart()
            return False
        if seen is None:
            return False
        chosen = Chosen(self._view.algorithm, self._view.target or 0.0, self._knows)
        decision, self._knows = self._policy.observe(seen), Knows.ALL
        self._show_decision(decision)
        moved, actual, trouble = self._obey(decision)
        if self._log is not None:
            self._log.add(chosen, seen, decision, actual, trouble)
        return moved

    def close(self) -> None:
        """Bring the actuator to its safe state and finish the log."""
        self._make_safe()
        if self._log is not None:
            self._log.close()

    def _restart(self) -> None:
        self._policy.restart()
        if self._knows is Knows.ALL:
            self._knows = Knows.LITTLE

    def _make_safe(self) -> None:
        self._values = None
        try:
            self._actuation.make_safe()
        except InstrumentError as error:
            log.debug("%s: %s", self._view.name, error)

    def _obey(self, decision: Decision) -> tuple[bool, tuple[float, ...] | None, str]:
        if decision.finds:
            return self._find()
        if decision.move_to is None:
            return False, self._values, ""
        beyond = self._beyond(decision.move_to)
        if beyond:
            self._show(state=LoopState.FAULT, message=beyond)
            return False, self._values, beyond
        self._values = None
        try:
            self._values = self._actuation.move(decision.move_to)
        except InstrumentError as error:
            self._failed(error)
            self._ask_where()
            return True, self._values, str(error)
        self._failures = 0
        self._show_axes(decision.move_to)
        self._show(
            settings_used=self._view.settings_used + 1,
            moves_undone=self._view.moves_undone + decision.undoes,
        )
        return True, self._values, ""

    def _find(self) -> tuple[bool, tuple[float, ...] | None, str]:
        self._values = None
        try:
            self._values = self._actuation.find()
        except InstrumentError as error:
            self._failed(error)
            self._restart()
            self._ask_where()
            return True, self._values, str(error)
        self._failures = 0
        self._show_axes(None)
        self._show(settings_used=self._view.settings_used + 1)
        return True, self._values, ""

    def _ask_where(self) -> None:
        try:
            self._values = self._actuation.positions()
        except InstrumentError as error:
            log.debug("%s: %s", self._view.name, error)

    def _beyond(self, values: tuple[float, ...]) -> str:
        for axis, value in zip(self._actuation.axes(), values, strict=True):
            if not axis.low <= value <= axis.high:
                return (
                    f"the policy asked {axis.name} for {value:g} {axis.unit}; the range is "
                    f"{axis.low:g} to {axis.high:g}"
                )
        return ""

    def _failed(self, error: InstrumentError) -> None:
        self._failures += 1
        is_fault = self._failures >= FAILURES_TO_FAULT
        state = LoopState.FAULT if is_fault else self._view.state
        self._show(state=state, message=str(error))

    def _show_decision(self, decision: Decision) -> None:
        if decision.stokes is not None:
            self._stokes.append(decision.stokes)
        was = self._view.state
        lost = was is LoopState.TRACKING and decision.state is LoopState.SEARCHING
        self._show(
            state=decision.state,
            message=decision.reason,
            residual=Estimate(value=decision.excess, sigma=decision.excess_sigma),
            stokes=tuple(self._stokes),
            relocks=self._view.relocks + lost,
        )

    def _show_axes(self, requested: tuple[float, ...] | None) -> None:
        axes = self._actuation.axes()
        stands = self._values or (None,) * len(axes)
        asked = requested or (None,) * len(axes)
        self._show(
            axes=tuple(
                msgspec.structs.replace(axis, requested=want, actual=have)
                for axis, want, have in zip(axes, asked, stands, strict=True)
            )
        )

    def _show(self, **changes: object) -> None:
        self._view = msgspec.structs.replace(self._view, **changes)
