"""Read tables of a network file: every complaint names its place, unknown names are refused."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence


class Table:
    """One table of the file; what was not asked for by `finish()` is unknown and refused."""

    def __init__(self, raw: object, place: str) -> None:
        self.place = place
        if not isinstance(raw, Mapping):
            raise self._wrong(None, f"must be a table, not {raw!r}")
        self._raw: Mapping[str, object] = raw
        self._asked: set[str] = set()

    def names(self) -> tuple[str, ...]:
        """Return the names in this table."""
        return tuple(self._raw)

    def number(
        self, name: str, default: float | None, low: float = 0.0, high: float = math.inf
    ) -> float:
        """Return a number from `low` to `high`; it must be given where `default` is None."""
        return self._checked(self._value(name, default), name, low, high)

    def whole(self, name: str, default: int | None, low: int, high: int) -> int:
        """Return an integer from `low` to `high`."""
        value = self._value(name, default)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._wrong(name, f"must be a whole number, not {value!r}")
        return int(self._checked(value, name, low, high))

    def each(
        self,
        name: str,
        count: int,
        default: float | None,
        low: float = 0.0,
        high: float = math.inf,
    ) -> tuple[float, ...]:
        """Return `count` numbers, as one for each detector; one number stands for all."""
        value = self._value(name, default)
        if not isinstance(value, list):
            value = [value] * count
        if len(value) != count:
            raise self._wrong(name, f"needs one number or {count}, not {len(value)}")
        return tuple(self._checked(each, name, low, high) for each in value)

    def numbers(
        self, name: str, default: Sequence[float], low: float = 0.0, high: float = math.inf
    ) -> tuple[float, ...]:
        """Return a list of numbers of any length but 0."""
        value = self._value(name, list(default))
        if not isinstance(value, list) or not value:
            raise self._wrong(name, f"must be a list of numbers, not {value!r}")
        return tuple(self._checked(each, name, low, high) for each in value)

    def text(self, name: str, default: str | None, choices: tuple[str, ...] = ()) -> str:
        """Return a text, one of `choices` if there are any."""
        value = self._value(name, default)
        if not isinstance(value, str):
            raise self._wrong(name, f"must be a text, not {value!r}")
        if choices and value not in choices:
            raise self._wrong(name, f"{value!r} is none of {', '.join(choices)}")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """Return a list of texts."""
        value = self._value(name, None)
        if not isinstance(value, list) or not all(isinstance(each, str) for each in value):
            raise self._wrong(name, f"must be a list of texts, not {value!r}")
        return tuple(value)

    def anything(self, name: str, default: object) -> object:
        """Return whatever stands there."""
        return self._value(name, default)

    def table(self, name: str) -> Table:
        """Return the table of that name; an absent one is empty."""
        return Table(self._value(name, {}), f"{self.place}.{name}")

    def finish(self) -> None:
        """Refuse what nobody asked for."""
        unknown = sorted(set(self._raw) - self._asked)
        if unknown:
            raise self._wrong(unknown[0], f"unknown; known: {self._known()}")

    def _wrong(self, name: str | None, reason: str) -> ValueError:
        return ValueError(f"{self.place if name is None else f'{self.place}.{name}'}: {reason}")

    def _known(self) -> str:
        return ", ".join(sorted(self._asked))

    def _value(self, name: str, default: object) -> object:
        self._asked.add(name)
        value = self._raw.get(name, default)
        if value is None:
            raise self._wrong(name, "is missing")
        return value

    def _checked(self, value: object, name: str, low: float, high: float) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self._wrong(name, f"must be a number, not {value!r}")
        if not math.isfinite(value) or not low <= value <= high:
            raise self._wrong(name, f"{value} is not within {low:g} to {high:g}")
        return float(value)
