"""The chart: curves over scenery that is painted once for each range and size."""

from __future__ import annotations

import math
from typing import TypeVar

from PySide6.QtCore import QEvent, QPointF, QRectF, Qt, Signal
from PySide6.QtGui import (
    QColor,
    QKeyEvent,
    QMouseEvent,
    QPaintEngine,
    QPainter,
    QPaintEvent,
    QPen,
    QPixmap,
    QResizeEvent,
    QWheelEvent,
)
from PySide6.QtWidgets import QLabel, QVBoxLayout, QWidget

from gui.desktop.charts.handle import SpanHandle
from gui.desktop.charts.scenery import RIGHT_PX, TOP_PX, Mark, draw_scenery, plot_area
from gui.desktop.charts.ticks import wide
from gui.desktop.charts.traces import LOWEST, Frame, Trace
from gui.desktop.look import Look

_HEADROOM = 0.06
_LOOSE = 3.0
"""A range so many times taller than what it shows is drawn in closer."""
_ZOOM = 0.8
_PAN = 0.15

_Trace = TypeVar("_Trace", bound=Trace)


class Chart(QWidget):
    """Traces over one abscissa. It chooses the height of its range by itself, in round steps.

    With `can_zoom` the wheel, a drag and the keys + - ← → change the part on show; a double click
    or Home shows all again.
    """

    pointed = Signal(object)
    """The abscissa under the mouse; None where the mouse has left."""

    def __init__(
        self, look: Look, name: str, left: str = "", bottom: str = "", *, can_zoom: bool = False
    ) -> None:
        super().__init__()
        self._look = look
        self._names = {"left": left, "bottom": bottom}
        self._traces: list[Trace] = []
        self._marks: list[Mark] = []
        self._limit: Mark | None = None
        self._x = (0.0, 1.0)
        self._y: tuple[float, float] | None = None
        self._fitted = (0.0, 1.0)
        self._part: tuple[float, float] | None = None
        self._can_zoom = can_zoom
        self._scenery: tuple[Frame, QPixmap] | None = None
        self._cursor: float | None = None
        self._panned_from: float | None = None
        self.handle: SpanHandle | None = None
        self.is_log = False
        self.setAttribute(Qt.WidgetAttribute.WA_OpaquePaintEvent)
        self.setMouseTracking(True)
        self.setMinimumHeight(90)
        self.setAccessibleName(name)
        if can_zoom:
            self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
            self.setAccessibleDescription("Plus, minus and the arrows choose the part on show")

    def add(self, trace: _Trace) -> _Trace:
        """Draw another trace over the others."""
        self._traces.append(trace)
        return trace

    def add_mark(self, value: float, text: str) -> None:
        """Draw a dashed faint line with its name."""
        self._marks.append(Mark(value, text, is_limit=False))
        self.recolour()

    def set_limit(self, value: float, text: str) -> None:
        """Draw a dashed red line with its value, or move it there."""
        if self._limit is None or (self._limit.value, self._limit.text) != (value, text):
            self._limit = Mark(value, text, is_limit=True)
            self.recolour()

    def add_words(self) -> QLabel:
        """Lay words over the upper right corner."""
        words = QLabel()
        words.setObjectName("mono")
        words.setTextFormat(Qt.TextFormat.PlainText)
        words.setAlignment(Qt.AlignmentFlag.AlignRight)
        words.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, TOP_PX + 4, RIGHT_PX + 6, 0)
        layout.addWidget(words, 0, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignTop)
        return words

    @property
    def limit(self) -> float | None:
        """Where the red line is."""
        return None if self._limit is None else self._limit.value

    def name_axis(self, side: str, name: str) -> None:
        """Give an axis another name."""
        if self._names[side] != name:
            self._names[side] = name
            self.recolour()

    def set_x(self, low: float, high: float) -> None:
        """Show this range of the abscissa."""
        self._x = (low, high)

    def set_y(self, low: float, high: float) -> None:
        """Show this range of values, whatever is in it."""
        self._y = (low, high)

    @property
    def frame(self) -> Frame:
        """What is on show where."""
        low_x, high_x = self._part or self._x
        low_y, high_y = self._y or self._fit(low_x, high_x)
        has_name = bool(self._names["bottom"])
        area = plot_area(self.width(), self.height(), has_name=has_name)
        return Frame(area, low_x, high_x, low_y, high_y, self.is_log)

    def recolour(self) -> None:
        """Paint all anew, in the colours of the theme."""
        self._scenery = None
        self.update()

    def changeEvent(self, event: QEvent) -> None:
        """Paint the ring of the focus anew with the window's activity."""
        super().changeEvent(event)
        if event.type() is QEvent.Type.ActivationChange and self._can_zoom:
            self.update()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Paint the scenery at the new size."""
        self.recolour()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Lay the traces over the scenery."""
        frame = self.frame
        painter = QPainter(self)
        if painter.paintEngine().type() is QPaintEngine.Type.Raster:
            painter.drawPixmap(0, 0, self._background(frame))
        else:  # a picture of lines, such as SVG, has no pixmap in it
            self._draw_background(painter, frame)
        painter.setClipRect(frame.area)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        for trace in self._traces:
            trace.draw(painter, frame, QColor(self._look.channels[trace.colour % 8]))
        painter.setRenderHint(QPainter.RenderHint.Antialiasing, on=False)
        if self.handle is not None:
            self.handle.draw(painter, self._look, frame)
        if self._cursor is not None:
            painter.setPen(QPen(QColor(self._look.colours.faint), 1))
            top, bottom = frame.area.top(), frame.area.bottom()
            painter.drawLine(QPointF(self._cursor, top), QPointF(self._cursor, bottom))
        if self.hasFocus():
            painter.setClipping(False)
            painter.setPen(QPen(QColor(self._look.colours.accent), 1))
            painter.drawRoundedRect(QRectF(self.rect()).adjusted(0.5, 0.5, -0.5, -0.5), 4, 4)
        painter.end()

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Drag the handle or the part on show, or point at an abscissa."""
        frame, across = self.frame, event.position().x()
        if self.handle is not None and self.handle.is_dragged:
            self.handle.move(frame, across)
        elif self._panned_from is not None:
            self._show_part(*self._moved(frame, frame.x_at(self._panned_from) - frame.x_at(across)))
            self._panned_from = across
        else:
            self._point(frame, event.position())
        self.update()

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Take the handle, or begin to move the part on show."""
        if event.button() is Qt.MouseButton.RightButton:
            return
        across = event.position().x()
        is_taken = self.handle is not None and self.handle.press(self.frame, across)
        if self._can_zoom and not is_taken and self._part is not None:
            self._panned_from = across

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Let go of what was taken."""
        self._panned_from = None
        if self.handle is not None and self.handle.is_dragged:
            self.handle.release()
        self.update()

    def mouseDoubleClickEvent(self, event: QMouseEvent) -> None:
        """Show all again."""
        self._show_part(*self._x)

    def wheelEvent(self, event: QWheelEvent) -> None:
        """Zoom about the mouse, where zooming is possible."""
        if not self._can_zoom or not event.angleDelta().y():
            event.ignore()
            return
        centre = self.frame.x_at(event.position().x())
        self._zoom(_ZOOM if event.angleDelta().y() > 0 else 1 / _ZOOM, centre)

    def leaveEvent(self, event: QEvent) -> None:
        """Take the cursor away."""
        self._cursor = None
        self.pointed.emit(None)
        self.update()

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Choose the part on show."""
        frame, key = self.frame, Qt.Key(event.key())
        span, centre = frame.high_x - frame.low_x, (frame.low_x + frame.high_x) / 2
        if not self._can_zoom:
            super().keyPressEvent(event)
        elif key in (Qt.Key.Key_Plus, Qt.Key.Key_Equal, Qt.Key.Key_Minus):
            self._zoom(1 / _ZOOM if key is Qt.Key.Key_Minus else _ZOOM, centre)
        elif key in (Qt.Key.Key_Left, Qt.Key.Key_Right):
            step = -_PAN * span if key is Qt.Key.Key_Left else _PAN * span
            self._show_part(*self._moved(frame, step))
        elif key is Qt.Key.Key_Home:
            self._show_part(*self._x)
        else:
            super().keyPressEvent(event)

    def _point(self, frame: Frame, at: QPointF) -> None:
        is_inside = frame.area.contains(at)
        if self.handle is not None:
            is_edge = is_inside and self.handle.is_at(frame, at.x())
            shape = Qt.CursorShape.SizeHorCursor if is_edge else Qt.CursorShape.ArrowCursor
            self.setCursor(shape)
        self._cursor = at.x() if is_inside else None
        self.pointed.emit(frame.x_at(at.x()) if is_inside else None)

    def _moved(self, frame: Frame, by: float) -> tuple[float, float]:
        """Return the part on show moved, and not beyond the ends."""
        by = min(max(by, self._x[0] - frame.low_x), self._x[1] - frame.high_x)
        return frame.low_x + by, frame.high_x + by

    def _zoom(self, factor: float, centre: float) -> None:
        low, high = self._part or self._x
        self._show_part(centre + (low - centre) * factor, centre + (high - centre) * factor)

    def _show_part(self, low: float, high: float) -> None:
        low, high = max(low, self._x[0]), min(high, self._x[1])
        is_all = (high - low) > 0.999 * (self._x[1] - self._x[0])
        if high - low > 1e-3 * (self._x[1] - self._x[0]):
            self._part = None if is_all else (low, high)
        self.update()

    def _fit(self, low_x: float, high_x: float) -> tuple[float, float]:
        """Return a range that holds all values; the one before while it still fits."""
        seen = [each.extent(low_x, high_x) for each in self._traces]
        ends = [end for pair in seen if pair is not None for end in pair]
        if self._limit is not None:
            ends.append(self._limit.value)
        if self.is_log:
            return math.log10(LOWEST), math.log10(max([1.0, *ends])) + 0.2
        if not ends:
            return self._fitted
        low, high = min(ends), max(ends)
        room = max(_HEADROOM * (high - low), 0.01 * abs(high), 1e-9)
        shown_low, shown_high = self._fitted
        is_close = shown_high - shown_low < _LOOSE * (high - low + 2 * room)
        if not (shown_low <= low and high <= shown_high and is_close):
            below = low if low == 0.0 else low - room
            below = 0.0 if low >= 0.0 > below else below
            self._fitted = wide(below, high + room)
        return self._fitted

    def _background(self, frame: Frame) -> QPixmap:
        if self._scenery is None or self._scenery[0] != frame:
            ratio = self.devicePixelRatioF()
            drawn = QPixmap(self.size() * ratio)
            drawn.setDevicePixelRatio(ratio)
            painter = QPainter(drawn)
            self._draw_background(painter, frame)
            painter.end()
            self._scenery = frame, drawn
        return self._scenery[1]

    def _draw_background(self, painter: QPainter, frame: Frame) -> None:
        painter.fillRect(self.rect(), QColor(self._look.colours.plot))
        marks = self._marks if self._limit is None else [*self._marks, self._limit]
        draw_scenery(painter, self._look, frame, self._names, marks)
