"""Plots as all cards draw them: thin antialiased lines, no ticks, colours of the theme."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyqtgraph as pg
from PySide6.QtCore import Qt
from PySide6.QtGui import QColor

from gui.desktop.look import Look, text_font

Floats = npt.NDArray[np.float64]


class Plot(pg.PlotWidget):  # type: ignore[misc]  # pyqtgraph carries no types
    """A plot whose curves are made once and only given new points. Width 1: wider is far slower."""

    def __init__(self, name: str, left: str = "", bottom: str = "") -> None:
        super().__init__()
        self.setAccessibleName(name)
        self.viewport().setAccessibleName(name)
        self.setMenuEnabled(True)
        self.hideButtons()
        self._labels = {"left": left, "bottom": bottom}
        self._curves: list[tuple[pg.PlotCurveItem, int, bool]] = []
        self._limit: pg.InfiniteLine | None = None
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

    def add_limit(self, value: float, text: str) -> None:
        """Draw a dashed red line with its value."""
        self._limit = pg.InfiniteLine(
            pos=value, angle=0, label=text, labelOpts={"position": 0.93, "movable": False}
        )
        self.addItem(self._limit)

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
        if self._limit is not None:
            self._limit.setPen(pg.mkPen(look.colours.error, width=1, style=Qt.PenStyle.DashLine))
            self._limit.label.setColor(look.colours.error)
