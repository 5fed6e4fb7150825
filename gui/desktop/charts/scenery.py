"""What stands still behind the curves: ground, grid, numbers and names of the axes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from PySide6.QtCore import QPointF, QRectF, Qt
from PySide6.QtGui import QColor, QFontMetricsF, QPainter, QPen

from gui.desktop.charts.ticks import decades, ticks, words
from gui.desktop.charts.traces import Frame
from gui.desktop.look import Look, text_font

LEFT_PX = 52
"""Plots below each other line up, and no plot changes its width with its numbers."""
TOP_PX, RIGHT_PX = 8, 10
_NUMBERS_PX, _NAME_PX = 16, 15
_PX_PER_X, _PX_PER_Y = 70, 28
_GRID_ALPHA = 34


@dataclass(frozen=True, slots=True)
class Mark:
    """A dashed line at a value, with its name."""

    value: float
    text: str
    is_limit: bool


def plot_area(width: float, height: float, *, has_name: bool) -> QRectF:
    """Return where the curves are drawn in a widget of a size."""
    below = _NUMBERS_PX + (_NAME_PX if has_name else 4)
    return QRectF(
        LEFT_PX, TOP_PX, max(width - LEFT_PX - RIGHT_PX, 1.0), max(height - TOP_PX - below, 1.0)
    )


def draw_scenery(
    painter: QPainter, look: Look, frame: Frame, names: dict[str, str], marks: Sequence[Mark]
) -> None:
    """Draw all of it; the painter's ground is filled already."""
    painter.setFont(text_font(10))
    _draw_x(painter, look, frame)
    _draw_y(painter, look, frame)
    area = frame.area
    painter.setPen(QPen(QColor(look.colours.line2), 1))
    painter.drawLine(QPointF(area.left(), area.top()), QPointF(area.left(), area.bottom()))
    painter.drawLine(QPointF(area.left(), area.bottom()), QPointF(area.right(), area.bottom()))
    _draw_names(painter, look, area, names)
    for mark in marks:
        _draw_mark(painter, look, frame, mark)


def _draw_x(painter: QPainter, look: Look, frame: Frame) -> None:
    most = max(2, int(frame.area.width() / _PX_PER_X))
    places = ticks(frame.low_x, frame.high_x, most)
    pixels = frame.across(np.asarray(places, dtype=np.float64)).tolist()
    for x, text in zip(pixels, words(places), strict=True):
        painter.setPen(_grid_pen(look))
        painter.drawLine(QPointF(x, frame.area.top()), QPointF(x, frame.area.bottom()))
        painter.setPen(QColor(look.colours.dim))
        box = QRectF(x - 40, frame.area.bottom() + 2, 80, _NUMBERS_PX)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, text)


def _draw_y(painter: QPainter, look: Look, frame: Frame) -> None:
    most = max(3, int(frame.area.height() / _PX_PER_Y))
    if frame.is_log:
        places = decades(frame.low_y, frame.high_y)
        texts = tuple(f"{10**each:g}" for each in places)
    else:
        places = ticks(frame.low_y, frame.high_y, most)
        texts = words(places)
    scale = frame.area.height() / (frame.high_y - frame.low_y)
    for place, text in zip(places, texts, strict=True):
        y = frame.area.bottom() - (place - frame.low_y) * scale
        painter.setPen(_grid_pen(look))
        painter.drawLine(QPointF(frame.area.left(), y), QPointF(frame.area.right(), y))
        painter.setPen(QColor(look.colours.dim))
        box = QRectF(14, y - 8, LEFT_PX - 20, 16)
        painter.drawText(box, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter, text)


def _draw_names(painter: QPainter, look: Look, area: QRectF, names: dict[str, str]) -> None:
    painter.setPen(QColor(look.colours.dim))
    if below := names.get("bottom", ""):
        box = QRectF(area.left(), area.bottom() + _NUMBERS_PX, area.width(), _NAME_PX)
        painter.drawText(box, Qt.AlignmentFlag.AlignCenter, below)
    if aside := names.get("left", ""):
        painter.save()
        painter.translate(7, area.center().y())
        painter.rotate(-90)
        painter.drawText(QRectF(-90, -7, 180, 14), Qt.AlignmentFlag.AlignCenter, aside)
        painter.restore()


def _draw_mark(painter: QPainter, look: Look, frame: Frame, mark: Mark) -> None:
    y = float(frame.down(np.asarray([mark.value]))[0])
    if not frame.area.top() - 1 <= y <= frame.area.bottom() + 1:
        return
    colour = QColor(look.colours.error if mark.is_limit else look.colours.faint)
    painter.setPen(QPen(colour, 1, Qt.PenStyle.DashLine))
    painter.drawLine(QPointF(frame.area.left(), y), QPointF(frame.area.right(), y))
    painter.setPen(QColor(look.colours.error if mark.is_limit else look.colours.dim))
    wide = QFontMetricsF(painter.font()).horizontalAdvance(mark.text)
    under = y + 2 if y < frame.area.top() + 14 else y - 15
    painter.drawText(
        QRectF(frame.area.right() - math.ceil(wide) - 6, under, wide + 4, 13),
        Qt.AlignmentFlag.AlignCenter,
        mark.text,
    )


def _grid_pen(look: Look) -> QPen:
    colour = QColor(look.colours.dim)
    colour.setAlpha(_GRID_ALPHA)
    return QPen(colour, 1)
