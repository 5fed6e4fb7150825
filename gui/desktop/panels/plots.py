"""Plots as all cards draw them: thin antialiased lines, no ticks, colours of the theme."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QContextMenuEvent

from gui.desktop.look import Look, text_font

Floats = npt.NDArray[np.float64]
_AXIS_PX = 52


class Plot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph carries no types
    """A plot whose curves are made once and only given new points. Width 1: wider is far slower."""

    def __init__(self, name: str, left: str = "", bottom: str = "") -> None:
        super().__init__(enableMenu=False)
        self.setAccessibleName(name)
        self.viewport().setAccessibleName(name)
        # Plots below each other line up, and no plot changes its width with its numbers.
        self.getAxis("left").setWidth(_AXIS_PX)
        self.hideButtons()
        self._labels = {"left": left, "bottom": bottom}
        self._curves: list[tuple[pg.PlotCurveItem, int, bool]] = []
        self._bars: list[tuple[pg.ErrorBarItem, int]] = []
        self._limit: pg.InfiniteLine | None = None
        self._marks: list[pg.InfiniteLine] = []
        self.setMinimumHeight(90)

    def add_curve(self, colour: int, *, stepped: bool = False) -> pg.PlotCurveItem:
        """Add a curve in a channel colour; `stepped` draws a filled histogram."""
        options = {"stepMode": "center", "fillLevel": 0} if stepped else {}
        x = np.zeros(2) if stepped else np.zeros(1)
        curve = pg.PlotCurveItem(
            x, np.zeros(1), skipFiniteCheck=stepped, connect="finite", **options
        )
        self.addItem(curve)
        self._curves.append((curve, colour, stepped))
        return curve

    def add_bars(self, colour: int) -> pg.ErrorBarItem:
        """Add error bars in a channel colour."""
        bars = pg.ErrorBarItem(x=np.zeros(0), y=np.zeros(0), height=np.zeros(0), beam=0)
        self.addItem(bars)
        self._bars.append((bars, colour))
        return bars

    def set_limit(self, value: float, text: str) -> None:
        """Draw a dashed red line with its value, or move it there."""
        if self._limit is None:
            self._limit = self._line(value, text)
        self._limit.setPos(value)
        self._limit.label.setFormat(text)

    def add_mark(self, value: float, text: str) -> None:
        """Draw a dashed faint line with its name."""
        self._marks.append(self._line(value, text))

    def name_axis(self, side: str, label: str) -> None:
        """Give an axis another name."""
        self._labels[side] = label
        self.getAxis(side).setLabel(label)

    def contextMenuEvent(self, event: QContextMenuEvent) -> None:
        """Make the menu when it is first wanted: a window has many plots."""
        self.setMenuEnabled(True)
        super().contextMenuEvent(event)

    def _line(self, value: float, text: str) -> pg.InfiniteLine:
        line = pg.InfiniteLine(
            pos=value, angle=0, label=text,
            labelOpts={"position": 0.97, "anchors": [(1, 1), (1, 1)], "movable": False},
        )  # fmt: skip
        self.addItem(line)
        return line

    def recolour(self, look: Look) -> None:
        """Take over the colours of the theme."""
        self.setBackground(look.colours.plot)
        self.showGrid(x=True, y=True, alpha=0.13)
        for side, label in self._labels.items():
            axis = self.getAxis(side)
            axis.setPen(QColor(look.colours.line2))
            axis.setTextPen(QColor(look.colours.dim))
            axis.setStyle(tickLength=0, tickFont=text_font(10))
            if label:
                axis.setLabel(label, color=look.colours.dim, **{"font-size": "10px"})
        for curve, colour, stepped in self._curves:
            tint = QColor(look.channels[colour % 8])
            curve.setPen(pg.mkPen(tint, width=1))
            if stepped:
                filled = QColor(tint)
                filled.setAlpha(90)
                curve.setBrush(filled)
        for bars, colour in self._bars:
            bars.setData(pen=pg.mkPen(look.channels[colour % 8], width=1))
        for mark in self._marks:
            mark.setPen(pg.mkPen(look.colours.faint, width=1, style=Qt.PenStyle.DashLine))
            mark.label.setColor(look.colours.dim)
        if self._limit is not None:
            self._limit.setPen(pg.mkPen(look.colours.error, width=1, style=Qt.PenStyle.DashLine))
            self._limit.label.setColor(look.colours.error)
