"""What a chart can draw, and how points become pixels."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PySide6.QtCore import QLineF, QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPen, QPolygonF
from shiboken6 import VoidPtr

Floats = npt.NDArray[np.float64]
_NONE = np.zeros(0)
_FURTHEST_PX = 16_000.0
"""Painters lose their way far outside the picture."""
_FILL_ALPHA, _BAND_ALPHA = 90, 45
LOWEST = 0.5
"""What an empty bin is drawn as on a logarithmic axis."""


@dataclass(frozen=True, slots=True)
class Frame:
    """The part of the plane on show, and the pixels it is shown in."""

    area: QRectF
    low_x: float
    high_x: float
    low_y: float
    high_y: float
    is_log: bool = False

    def across(self, x: Floats) -> Floats:
        """Return pixels from the left."""
        scale = self.area.width() / (self.high_x - self.low_x)
        return np.clip(self.area.left() + (x - self.low_x) * scale, -_FURTHEST_PX, _FURTHEST_PX)

    def down(self, y: Floats) -> Floats:
        """Return pixels from the top."""
        scale = self.area.height() / (self.high_y - self.low_y)
        drawn = self.area.bottom() - (self.height(y) - self.low_y) * scale
        return np.clip(drawn, -_FURTHEST_PX, _FURTHEST_PX)

    def height(self, y: Floats) -> Floats:
        """Return heights in the unit of the axis: exponents of ten where it is logarithmic."""
        return np.log10(np.maximum(y, LOWEST)) if self.is_log else y

    def x_at(self, pixel: float) -> float:
        """Return what is shown at a pixel."""
        return self.low_x + (pixel - self.area.left()) * (
            (self.high_x - self.low_x) / max(self.area.width(), 1.0)
        )


class Trace(Protocol):
    """Something with points."""

    colour: int
    """Number of its channel colour."""

    @abstractmethod
    def extent(self, low: float, high: float) -> tuple[float, float] | None:
        """Return the least and the largest value between two abscissas; None where none is."""

    @abstractmethod
    def draw(self, painter: QPainter, frame: Frame, colour: QColor) -> None:
        """Draw."""


class Line(Trace):
    """A curve, one pixel wide. A value that is not a number interrupts it."""

    def __init__(self, colour: int, *, is_dotted: bool = False) -> None:
        self.colour = colour
        self.x, self.y = _NONE, _NONE
        self._style = Qt.PenStyle.DotLine if is_dotted else Qt.PenStyle.SolidLine

    def set(self, x: Floats, y: Floats) -> None:
        """Show other points, x rising."""
        self.x, self.y = x, y

    def extent(self, low: float, high: float) -> tuple[float, float] | None:
        """Return the least and the largest value on show."""
        return _extent(self.y[(self.x >= low) & (self.x <= high)])

    def draw(self, painter: QPainter, frame: Frame, colour: QColor) -> None:
        """Draw with at most two points to a pixel."""
        painter.setPen(QPen(colour, 1, self._style))
        first = max(int(np.searchsorted(self.x, frame.low_x)) - 1, 0)
        last = int(np.searchsorted(self.x, frame.high_x, "right")) + 1
        across, down = frame.across(self.x[first:last]), frame.down(self.y[first:last])
        for part in runs(np.isfinite(down)):
            painter.drawPolyline(polygon(*reduced(across[part], down[part])))


class Steps(Trace):
    """A histogram, filled down to the axis."""

    def __init__(self, colour: int) -> None:
        self.colour = colour
        self.edges, self.counts = _NONE, _NONE

    def set(self, edges: Floats, counts: Floats) -> None:
        """Show other counts; there is one edge more than counts."""
        self.edges, self.counts = edges, counts

    def extent(self, low: float, high: float) -> tuple[float, float] | None:
        """Return zero and the largest count on show."""
        seen = self.counts[(self.edges[1:] >= low) & (self.edges[:-1] <= high)]
        return (0.0, float(seen.max())) if seen.size else None

    def draw(self, painter: QPainter, frame: Frame, colour: QColor) -> None:
        """Draw the outline over the fill."""
        if not self.counts.size:
            return
        across = np.repeat(frame.across(self.edges), 2)[1:-1]
        down = np.repeat(frame.down(self.counts), 2)
        across, down = reduced(across, down)
        ground = frame.area.bottom() + 1
        filled = QColor(colour)
        filled.setAlpha(_FILL_ALPHA)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(filled)
        painter.drawPolygon(
            polygon(
                np.concatenate([across[:1], across, across[-1:]]),
                np.concatenate([[ground], down, [ground]]),
            )
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)
        painter.setPen(QPen(colour, 1))
        painter.drawPolyline(polygon(across, down))


class Bars(Trace):
    """Error bars: each value with its standard error."""

    def __init__(self, colour: int) -> None:
        self.colour = colour
        self.x, self.y, self.sigma = _NONE, _NONE, _NONE

    def set(self, x: Floats, y: Floats, sigma: Floats) -> None:
        """Show other values."""
        self.x, self.y, self.sigma = x, y, sigma

    def extent(self, low: float, high: float) -> tuple[float, float] | None:
        """Return the lowest and the highest end of a bar on show."""
        seen = (self.x >= low) & (self.x <= high)
        ends = np.concatenate([(self.y - self.sigma)[seen], (self.y + self.sigma)[seen]])
        return _extent(ends)

    def draw(self, painter: QPainter, frame: Frame, colour: QColor) -> None:
        """Draw a stroke from end to end for each value."""
        painter.setPen(QPen(colour, 1))
        ends = zip(
            frame.across(self.x).tolist(),
            frame.down(self.y - self.sigma).tolist(),
            frame.down(self.y + self.sigma).tolist(),
            strict=True,
        )
        painter.drawLines([QLineF(x, low, x, high) for x, low, high in ends])


class Band(Trace):
    """The room between two curves."""

    def __init__(self, colour: int) -> None:
        self.colour = colour
        self.x, self.low, self.high = _NONE, _NONE, _NONE

    def set(self, x: Floats, low: Floats, high: Floats) -> None:
        """Show another band; all its values are numbers."""
        self.x, self.low, self.high = x, low, high

    def extent(self, low: float, high: float) -> tuple[float, float] | None:
        """Return the lowest and the highest value on show."""
        seen = (self.x >= low) & (self.x <= high)
        return _extent(np.concatenate([self.low[seen], self.high[seen]]))

    def draw(self, painter: QPainter, frame: Frame, colour: QColor) -> None:
        """Fill the room."""
        filled = QColor(colour)
        filled.setAlpha(_BAND_ALPHA)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(filled)
        x = frame.across(self.x)
        low, high = frame.down(self.low), frame.down(self.high)
        painter.drawPolygon(
            polygon(np.concatenate([x, x[::-1]]), np.concatenate([high, low[::-1]]))
        )
        painter.setBrush(Qt.BrushStyle.NoBrush)


def reduced(across: Floats, down: Floats) -> tuple[Floats, Floats]:
    """Keep the lowest and the highest point of each pixel, where it holds more than two."""
    if across.size < 8 or across.size <= 2.0 * (across[-1] - across[0]):
        return across, down
    columns = np.floor(across)
    starts = np.flatnonzero(np.diff(columns, prepend=columns[0] - 1))
    middles = columns[starts] + 0.5
    ends = np.stack([np.minimum.reduceat(down, starts), np.maximum.reduceat(down, starts)], 1)
    return np.repeat(middles, 2), ends.ravel()


def polygon(across: Floats, down: Floats) -> QPolygonF:
    """Make Qt's points without a Python object for each."""
    made = QPolygonF()
    made.resize(across.size)
    if across.size:
        # PySide's stubs know neither what a VoidPtr takes nor that it is a buffer.
        room: Any = VoidPtr(made.data(), across.size * 16, True)  # type: ignore[call-arg,arg-type]
        points: Floats = np.frombuffer(room, np.float64).reshape(-1, 2)
        points[:, 0] = across
        points[:, 1] = down
    return made


def runs(inside: npt.NDArray[np.bool_]) -> list[slice]:
    """Return the spans in which something holds."""
    if inside.all():
        return [slice(0, inside.size)] if inside.size else []
    edges = np.flatnonzero(np.diff(np.concatenate([[False], inside, [False]]).astype(np.int8)))
    return [slice(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _extent(values: Floats) -> tuple[float, float] | None:
    known = values[np.isfinite(values)]
    return (float(known.min()), float(known.max())) if known.size else None
