"""The coincidence histogram of a link, with its window."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtGui import QColor

from gui.desktop.desk import Desk
from gui.desktop.panels.panel import Panel
from gui.desktop.panels.plots import Plot


class HistogramPanel(Panel):
    """Coincidences against delay, all detector pairs together."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("histogram", "Coincidences", "chart-line", desk)
        self.plot = Plot("Coincidence histogram", "counts / bin", "delay (ns)")
        self._curve = self.plot.add_curve(0, stepped=True)
        self._window = pg.LinearRegionItem(movable=False)
        self._window.setZValue(-10)
        self.plot.addItem(self._window)
        self.body.addWidget(self.plot, 1)
        self.recolour()

    def refresh(self) -> None:
        """Draw the newest histogram."""
        link = self.client.links.get(self.link_name)
        if link is None or link.histogram is None:
            self.subtitle.setText("no data")
            return
        histogram = link.histogram
        edges = histogram.start_ps + histogram.bin_ps * np.arange(len(histogram.counts) + 1)
        self._curve.setData(edges / 1e3, np.asarray(histogram.counts, dtype=np.float64))
        parts = []
        if histogram.peak_ps is not None:
            parts.append(f"peak {histogram.peak_ps / 1e3:.3f} ns")
        if histogram.fwhm_ps is not None:
            parts.append(f"FWHM {histogram.fwhm_ps / 1e3:.2f} ns")
        if link.car is not None:
            parts.append(f"CAR {link.car:.1f}")
        parts.append(f"window {link.window_ps / 1e3:.2f} ns")
        self.subtitle.setText("  ·  ".join(parts))
        # Delays are counted from where the tracked clock expects them: the window is around zero.
        half_ns = link.window_ps / 2e3
        self._window.setRegion((-half_ns, half_ns))

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        if not hasattr(self, "plot"):
            return
        self.plot.recolour(self.look)
        tint = QColor(self.look.colours.accent)
        tint.setAlpha(45)
        self._window.setBrush(tint)
        for line in self._window.lines:
            line.setPen(pg.mkPen(self.look.colours.accent, width=1))
