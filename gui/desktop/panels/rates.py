"""Count rates of every detector over the last minute, with live numbers."""

from __future__ import annotations

import time

import numpy as np
from PySide6.QtWidgets import QButtonGroup, QLabel, QPushButton

from gui.desktop.desk import Desk
from gui.desktop.panels.panel import Panel
from gui.desktop.panels.plots import Plot

LABELS = ("H", "V", "D", "A")
STATIONS = ("alice", "bob")
_SPANS_S = {"10 s": 10, "60 s": 60, "10 min": 600}
_POINTS = 3600


class RatesPanel(Panel):
    """Eight curves in a ring of points; the newest value stands in the legend."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("rates", "Count rates", "activity", desk)
        self._span_s = 60
        self._times = np.full(_POINTS, np.nan)
        self._rates = np.full((8, _POINTS), np.nan)
        self.legend = QLabel()
        self.legend.setObjectName("legend")
        self.plot = Plot("Count rates in thousands per second", "kcps", "s")
        self.plot.setMouseEnabled(x=False, y=False)
        self._curves = [self.plot.add_curve(channel) for channel in range(8)]
        self._add_spans()
        self.body.addWidget(self.legend)
        self.body.addWidget(self.plot, 1)
        self.recolour()

    def refresh(self) -> None:
        """Append the newest rates and draw."""
        link = self.client.links.get(self.link_name)
        if link is None or not link.rates:
            return
        newest = {(rate.station, rate.label): rate.rate_cps / 1e3 for rate in link.rates}
        now = time.monotonic()
        self._times[:-1], self._rates[:, :-1] = self._times[1:], self._rates[:, 1:]
        self._times[-1] = now
        entries = []
        for row, (station, label) in enumerate((s, p) for s in STATIONS for p in LABELS):
            value = newest.get((station, label), np.nan)
            self._rates[row, -1] = value
            shown = "–" if np.isnan(value) else f"{value:.1f}"
            entries.append(
                f'<span style="color:{self.look.channels[row]}">■</span> '
                f"{station[0].upper()}·{label} "
                f'<span style="font-family:JetBrains Mono; color:{self.look.colours.text}">'
                f"{shown}</span>"
            )
        self.legend.setText(" &nbsp; ".join(entries))
        inside = self._times >= now - self._span_s
        for curve, values in zip(self._curves, self._rates, strict=True):
            curve.setData(self._times[inside] - now, values[inside])
        self.plot.setXRange(-self._span_s, 0, padding=0)

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        if hasattr(self, "plot"):
            self.plot.recolour(self.look)

    def show_link(self, name: str) -> None:
        """Draw another link from now on, from an empty plot."""
        super().show_link(name)
        self._times[:] = np.nan
        self._rates[:] = np.nan

    def _add_spans(self) -> None:
        group = QButtonGroup(self)
        for text, span_s in _SPANS_S.items():
            button = QPushButton(text)
            button.setObjectName("small")
            button.setCheckable(True)
            button.setChecked(span_s == self._span_s)
            button.setAccessibleName(f"Show the last {text}")
            button.clicked.connect(lambda _, s=span_s: self._use_span(s))
            group.addButton(button)
            self.tools.addWidget(button)

    def _use_span(self, span_s: int) -> None:
        self._span_s = span_s
        self._drawn_revision = -1
