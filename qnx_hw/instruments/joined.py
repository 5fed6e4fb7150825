"""Several polarization controllers that the light passes one after the other, used as one."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import TypeVar

from qnx_hw.errors import RangeError, Unsupported
from qnx_hw.instruments.families import PolarizationController
from qnx_hw.instruments.values import (
    Identity,
    InstrumentState,
    InstrumentStatus,
    PolarizationCapabilities,
)

Result = TypeVar("Result")


class JoinedController(PolarizationController):
    """Three rotators, or three crystals, with an interface of their own each.

    Axes count through in the order in which the light passes the parts. All parts move at once;
    a part that fails does not stop the others, and is told of when all have come to rest.
    """

    def __init__(self, parts: Sequence[PolarizationController]) -> None:
        self._parts = tuple(parts)

    @property
    def capabilities(self) -> PolarizationCapabilities:
        """All axes, as fast as the slowest part."""
        each = [part.capabilities for part in self._parts]
        return PolarizationCapabilities(
            tuple(axis for one in each for axis in one.axes),
            settle_s=max(one.settle_s for one in each),
            update_rate_hz=min(one.update_rate_hz for one in each),
            can_abort=all(one.can_abort for one in each),
            has_home=all(one.has_home for one in each),
        )

    def connect(self, *, timeout_s: float = 2.0) -> Identity:
        """Connect all parts."""
        found = self._all(lambda part, _: part.connect(timeout_s=timeout_s))
        joined = ["+".join(getattr(one, name) for one in found) for name in ("model", "serial")]
        return Identity(found[0].maker, *joined)

    def close(self) -> None:
        """Let go of all parts."""
        self._all(lambda part, _: part.close())

    def status(self) -> InstrumentStatus:
        """Return how the first part is that is not ready, or that all are."""
        each = [part.status() for part in self._parts]
        return next((one for one in each if one.state is not InstrumentState.READY), each[0])

    def settings(self, *, timeout_s: float | None = None) -> Mapping[str, float | int | str | bool]:
        """Return nothing: each part keeps its own settings."""
        return {}

    def configure(
        self, settings: Mapping[str, float | int | str | bool], *, timeout_s: float | None = None
    ) -> Mapping[str, float | int | str | bool]:
        """Refuse: each part has its own settings."""
        if settings:
            raise Unsupported("configure the instruments that a controller is joined of")
        return {}

    def stop(self) -> None:
        """Halt all motion."""
        self._all(lambda part, _: part.stop())

    def positions(self, *, timeout_s: float | None = None) -> tuple[float, ...]:
        """Return where every axis stands."""
        found = self._all(lambda part, _: part.positions(timeout_s=timeout_s))
        return tuple(itertools.chain.from_iterable(found))

    def move(
        self,
        axis: int,
        value: float,
        *,
        timeout_s: float | None = None,
        cancel: Event | None = None,
    ) -> float:
        """Move one axis of one part."""
        part, own = self._find(axis)
        return part.move(own, value, timeout_s=timeout_s, cancel=cancel)

    def move_all(
        self,
        values: Sequence[float],
        *,
        timeout_s: float | None = None,
        cancel: Event | None = None,
    ) -> tuple[float, ...]:
        """Move all parts at once and return where the axes stand."""
        n_axes = sum(self._sizes)
        if len(values) != n_axes:
            raise RangeError(f"the joined controller has {n_axes} axes, not {len(values)}")

        def go(part: PolarizationController, first: int) -> tuple[float, ...]:
            own = values[first : first + len(part.capabilities.axes)]
            return part.move_all(own, timeout_s=timeout_s, cancel=cancel)

        return tuple(itertools.chain.from_iterable(self._all(go)))

    def home(
        self, axis: int, *, timeout_s: float | None = None, cancel: Event | None = None
    ) -> float:
        """Find the zero of one axis of one part."""
        part, own = self._find(axis)
        return part.home(own, timeout_s=timeout_s, cancel=cancel)

    @property
    def _sizes(self) -> list[int]:
        return [len(part.capabilities.axes) for part in self._parts]

    def _find(self, axis: int) -> tuple[PolarizationController, int]:
        own = axis
        for part, size in zip(self._parts, self._sizes, strict=True):
            if 1 <= own <= size:
                return part, own
            own -= size
        raise RangeError(f"the joined controller has axes 1 to {sum(self._sizes)}, not {axis}")

    def _all(self, function: Callable[[PolarizationController, int], Result]) -> list[Result]:
        """Call `function` with each part and its first axis, from 0, at once; wait for all."""
        firsts = itertools.accumulate([0, *self._sizes[:-1]])
        with ThreadPoolExecutor(len(self._parts), "joined controller") as threads:
            running = [
                threads.submit(function, part, first)
                for part, first in zip(self._parts, firsts, strict=True)
            ]
        return [each.result() for each in running]
