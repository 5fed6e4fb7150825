"""Error rate and secret key rate over time."""

from __future__ import annotations

import time
from functools import partial

import numpy as np
import pyqtgraph as pg

from gui.desktop.desk import Desk
from gui.desktop.panels.panel import Panel
from gui.desktop.panels.plots import Plot
from qnx_hw.api.schema import Series

_SPAN_S = 3600
_RELOAD_S = 2.0


class ErrorsPanel(Panel):
    """Two plots above each other, filled from the node's history."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("errors", "QBER and key rate", "gauge", desk)
        self.subtitle.setText("last hour")
        self.errors = Plot("Quantum bit error rate in percent", "QBER (%)")
        self.key = Plot("Secret key rate in kilobit per second", "kbit/s", "s")
        for plot in (self.errors, self.key):
            plot.setMouseEnabled(x=False, y=False)
            self.body.addWidget(plot, 1)
        self._curves = {
            "qber_z": (self.errors.add_curve(0), 100.0),
            "qber_x": (self.errors.add_curve(3), 100.0),
            "secret_rate_bps": (self.key.add_curve(2), 1e-3),
        }
        self._limit: float | None = None
        self._asked_s = 0.0
        self.recolour()

    def refresh(self) -> None:
        """Put the abort line where the link has it, and ask for newer history now and then."""
        link = self.client.links.get(self.link_name)
        if link is not None and self._limit is None:
            self._limit = link.qber_limit
            self.errors.add_limit(link.qber_limit * 100, f"abort {link.qber_limit * 100:g} %")
            self.errors.recolour(self.look)
        if time.monotonic() - self._asked_s > _RELOAD_S:
            self._asked_s = time.monotonic()
            self._ask()

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        if hasattr(self, "errors"):
            self.errors.recolour(self.look)
            self.key.recolour(self.look)

    def _ask(self) -> None:
        if not self.client.is_live:
            return
        for name, (curve, scale) in self._curves.items():
            then = partial(_draw, curve, scale)
            self.client.requests.history(self.link_name, name, _SPAN_S, then=then)


def _draw(curve: pg.PlotCurveItem, scale: float, series: Series) -> None:
    values = [np.nan if value is None else value * scale for value in series.values]
    curve.setData(np.asarray(series.times_s) - time.time(), np.asarray(values, dtype=np.float64))
