"""A beam with a place for an attenuator: the pump of a pair source, the pulses of a transmitter."""

from __future__ import annotations

from collections.abc import Callable


class Beam:
    """How bright the light is against what the bench's file says of it.

    The file's numbers hold at `reference_db`; nothing stands in the way before somebody sets
    another attenuation.
    """

    def __init__(self, reference_db: float, power_w: Callable[[], float] = lambda: 0.0) -> None:
        """`power_w` gives the mean power at the reference, now."""
        self._reference_db = reference_db
        self._power_w = power_w
        self.attenuation_db = reference_db

    @property
    def factor(self) -> float:
        """The brightness relative to the file's."""
        return float(10 ** ((self._reference_db - self.attenuation_db) / 10))

    @property
    def power_w(self) -> float:
        """The mean power behind the attenuator, in W."""
        return self._power_w() * self.factor
