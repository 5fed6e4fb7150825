"""What hardware loops aim at; the formula is given to them by who makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

KeyRate: TypeAlias = Callable[[float, float, float], float]
"""Secret bits per second from coincidences per second, error rate and block length in s."""
