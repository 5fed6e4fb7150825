"""The newest rows of something that is measured again and again."""

from __future__ import annotations

import numpy as np

from gui.desktop.charts.traces import Floats


class Ring:
    """Times and values of the newest `size` rows, each side by side in memory.

    A store twice as long moves only when it is full, so that a row costs what it is long.
    """

    def __init__(self, columns: int, size: int) -> None:
        self._size = size
        self._store = np.full((columns + 1, 2 * size), np.nan)
        self._end = 0

    @property
    def times(self) -> Floats:
        """The time of each row, oldest first; a view."""
        return self._store[0, max(0, self._end - self._size) : self._end]

    @property
    def values(self) -> Floats:
        """A line for each column, oldest first; a view."""
        return self._store[1:, max(0, self._end - self._size) : self._end]

    def append(self, at: float, row: Floats) -> None:
        """Add a row; columns that it does not have are not numbers. A clock set back
        begins anew."""
        if self._end and at < self._store[0, self._end - 1]:
            self.clear()
        if self._end == self._store.shape[1]:
            self._store[:, : self._size] = self._store[:, self._size :]
            self._end = self._size
        self._store[0, self._end] = at
        self._store[1:, self._end] = np.nan
        self._store[1 : row.size + 1, self._end] = row
        self._end += 1

    def clear(self) -> None:
        """Forget all."""
        self._end = 0
