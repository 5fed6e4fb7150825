"""A window around zero that can be dragged by its edges."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import QObject, QPointF, QRectF, Signal
from PySide6.QtGui import QColor, QPainter, QPen

from gui.desktop.charts.traces import Frame
from gui.desktop.look import Look

_GRIP_PX = 6
_FILL_ALPHA, _HOVER_ALPHA = 34, 60


class SpanHandle(QObject):
    """Both edges move together: the window is symmetric."""

    dragged = Signal(float)
    """The half width while an edge is held."""
    dropped = Signal(float)
    """The half width where it was let go."""

    def __init__(self, parent: QObject, least: float) -> None:
        super().__init__(parent)
        self.half = 0.0
        self.is_dragged = False
        self._is_hovered = False
        self._least = least

    def is_at(self, frame: Frame, across: float) -> bool:
        """Say whether an edge lies under the mouse; remember it for the next picture."""
        edges = frame.across(np.asarray([-self.half, self.half]))
        self._is_hovered = self.is_dragged or bool((np.abs(edges - across) <= _GRIP_PX).any())
        return self._is_hovered

    def press(self, frame: Frame, across: float) -> bool:
        """Take an edge under the mouse, if there is one."""
        self.is_dragged = self.is_at(frame, across)
        return self.is_dragged

    def move(self, frame: Frame, across: float) -> None:
        """Follow the mouse with the edge that is held."""
        self.half = max(abs(frame.x_at(across)), self._least)
        self.dragged.emit(self.half)

    def release(self) -> None:
        """Let go."""
        self.is_dragged = False
        self.dropped.emit(self.half)

    def draw(self, painter: QPainter, look: Look, frame: Frame) -> None:
        """Draw the window over the curves."""
        left, right = frame.across(np.asarray([-self.half, self.half])).tolist()
        tint = QColor(look.colours.accent)
        tint.setAlpha(_HOVER_ALPHA if self._is_hovered else _FILL_ALPHA)
        painter.fillRect(QRectF(left, frame.area.top(), right - left, frame.area.height()), tint)
        colour = look.colours.accent2 if self._is_hovered else look.colours.accent
        painter.setPen(QPen(QColor(colour), 1))
        for x in (left, right):
            painter.drawLine(QPointF(x, frame.area.top()), QPointF(x, frame.area.bottom()))
