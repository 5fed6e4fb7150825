"""A blocking call of an instrument, and what makes its answer a wrong one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from qnx_hw.instruments.values import Identity

Setting = float | int | str | bool
# Each turn of a call asks for another value, so that an old answer is a wrong one; turn 0 also
# learns what the following turns must find unchanged.
N_TURNS = 3
RATE_LIMIT_CPS = 1e9


@dataclass(frozen=True, slots=True)
class Call:
    """One blocking call of an instrument."""

    name: str
    act: Callable[[int, float], object]
    """Make the call for a turn (0, 1, 2, ...) with a deadline in seconds."""
    flaw: Callable[[int, object], str]
    """Say what is wrong with the answer of a turn; empty where it is right."""
    changes: bool = False
    """Whether it moves, switches or sets something."""
    own_deadline_s: float = 0.0
    """How long it may take beyond one deadline: a stream is begun, read three times and ended."""


def alike(one: Mapping[str, Setting], other: Mapping[str, Setting]) -> bool:
    """Whether two readings of settings agree; a number may move by the step it comes in."""
    return one.keys() == other.keys() and all(_near(one[key], other[key]) for key in one)


def _near(one: Setting, other: Setting) -> bool:
    if isinstance(one, str | bool) or isinstance(other, str | bool):
        return one == other
    return math.isclose(one, other, rel_tol=5e-3, abs_tol=1e-9)


def identity_flaw(turn: int, answer: object) -> str:
    """Say whether an identity names nobody."""
    assert isinstance(answer, Identity)
    return "" if answer.maker and answer.model else f"{answer} names no maker and model"


def number_flaw(held: object, wanted: float, tolerance: float) -> str:
    """Say whether a number is not the one wanted."""
    assert isinstance(held, float | int)
    return "" if abs(held - wanted) <= tolerance else f"it holds {held:g}, not {wanted:g}"


def rates_flaw(rates: object, n_channels: int) -> str:
    """Say what is wrong with count rates."""
    assert isinstance(rates, tuple)
    if len(rates) != n_channels:
        return f"{n_channels} channels report {len(rates)} rates"
    good = all(0.0 <= rate < RATE_LIMIT_CPS for rate in rates)
    return "" if good else f"{rates} are no count rates"
