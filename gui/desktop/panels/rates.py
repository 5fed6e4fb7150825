"""Count rates of every detector, up to sixteen, with live numbers."""

from __future__ import annotations

import numpy as np
import pyqtgraph as pg
from PySide6.QtCore import QPointF, Qt
from PySide6.QtGui import QColor
from PySide6.QtWidgets import QLabel, QToolButton

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.panels.choices import add_choices
from gui.desktop.panels.panel import Panel
from gui.desktop.panels.plots import Floats, Plot
from qnx_hw.api.schema import LinkView

MOST_CHANNELS = 16
SPANS_S = {"10 s": 10, "60 s": 60, "10 min": 600}
_POINTS = 6000
"""Ten minutes at ten views a second."""
_MOST_DRAWN = 2400
_HEADROOM = 0.08


class RatesPanel(Panel):
    """Curves in a ring of points, which fills also while the card is hidden or paused."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("rates", "Count rates", "activity", desk)
        self.span = "60 s"
        self.is_paused = False
        self._last: LinkView | None = None
        self._names: list[tuple[str, str]] = []
        self._times = np.full(_POINTS, np.nan)
        self._rates = np.full((MOST_CHANNELS, _POINTS), np.nan)
        self._shown: tuple[Floats, Floats, float] | None = None
        self._cursor_s: float | None = None
        self.legend = QLabel()
        self.legend.setObjectName("legend")
        self.legend.setWordWrap(True)
        self.plot = Plot("Count rates in thousands per second", "kcps", "s")
        self.plot.setMouseEnabled(x=False, y=False)
        self._curves = [self.plot.add_curve(channel) for channel in range(MOST_CHANNELS)]
        self._line = pg.InfiniteLine(angle=90)
        self._line.hide()
        self.plot.addItem(self._line)
        self.plot.scene().sigMouseMoved.connect(self._point)
        names = [(text, f"Show the last {text}") for text in SPANS_S]
        self.spans = add_choices(self, self.tools, names, self.span, self._use_span)
        self.pause_button = QToolButton()
        self.pause_button.setCheckable(True)
        self.pause_button.setAccessibleName("Pause the count rates")
        self.pause_button.setToolTip("Pause; counting goes on")
        self.pause_button.toggled.connect(self._pause)
        self.tools.addWidget(self.pause_button)
        self.body.addWidget(self.legend)
        self.body.addWidget(self.plot, 1)
        self.recolour()

    def draw(self) -> bool:
        """Take in the newest rates, seen or not, and draw."""
        link = self.client.links.get(self.link_name)
        if link is not self._last and link is not None and self.client.is_live:
            self._last = link
            self._append(link)
        return super().draw()

    def refresh(self) -> None:
        """Draw the ring."""
        if not self.is_paused or self._shown is None:
            self._shown = (self._times.copy(), self._rates.copy(), self.desk.now())
        times, rates, now = self._shown
        first = int(np.searchsorted(times, now - SPANS_S[self.span]))
        first = min(first, times.size - 1) if np.isfinite(times[-1]) else times.size
        step = max(1, (times.size - first) // _MOST_DRAWN)
        part = slice(first, None, step)
        ages = times[part] - now
        for row, curve in enumerate(self._curves):
            is_known = row < len(self._names)
            curve.setData(ages, rates[row, part]) if is_known else curve.clear()
        self.plot.setXRange(-SPANS_S[self.span], 0, padding=0)
        self._fit_height(rates[: len(self._names), part])
        self._write_legend(times, rates, now)

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.plot.recolour(self.look)
        for curve, colour in zip(self._curves[8:], self.look.channels, strict=False):
            curve.setPen(pg.mkPen(colour, width=1, style=Qt.PenStyle.DotLine))
        self._line.setPen(pg.mkPen(QColor(self.look.colours.faint), width=1))
        self.pause_button.setIcon(self.look.icon("play" if self.is_paused else "pause"))

    def show_link(self, name: str) -> None:
        """Draw another link from now on, from an empty plot."""
        super().show_link(name)
        self._names, self._last, self._shown = [], None, None
        self._times[:] = np.nan
        self._rates[:] = np.nan

    def export_table(self) -> Table | None:
        """Return the ring, one row for each moment."""
        known = np.isfinite(self._times)
        if not known.any():
            return None
        heads = ("age (s)", *(f"{station} {label} (cps)" for station, label in self._names))
        ages = self._times[known] - self._times[-1]
        values = self._rates[: len(self._names), known].T * 1e3
        return Table(
            heads, tuple((float(a), *map(float, v)) for a, v in zip(ages, values, strict=True))
        )

    def _append(self, link: LinkView) -> None:
        if not link.rates:
            return
        names = [(rate.station, rate.label) for rate in link.rates[:MOST_CHANNELS]]
        if names != self._names:
            self._names = names
            self._rates[:] = np.nan
        self._times[:-1], self._rates[:, :-1] = self._times[1:], self._rates[:, 1:]
        self._times[-1] = self.desk.now()
        self._rates[:, -1] = np.nan
        self._rates[: len(names), -1] = [rate.rate_cps / 1e3 for rate in link.rates[:MOST_CHANNELS]]

    def _fit_height(self, values: Floats) -> None:
        if not np.isfinite(values).any():
            return
        low, high = float(np.nanmin(values)), float(np.nanmax(values))
        room = max(_HEADROOM * (high - low), 0.02 * high, 1e-3)
        (shown_low, shown_high) = self.plot.viewRange()[1]
        fits = (
            shown_low <= low
            and high <= shown_high
            and shown_high - shown_low < 4 * (high - low + room)
        )
        if not fits:
            self.plot.setYRange(max(0.0, low - room), high + room, padding=0)

    def _write_legend(self, times: Floats, rates: Floats, now: float) -> None:
        place = -1
        if self._cursor_s is not None and np.isfinite(times[-1]):
            place = int(np.nanargmin(np.abs(times - now - self._cursor_s)))
        entries = []
        for row, (station, label) in enumerate(self._names):
            value = rates[row, place]
            shown = "–" if np.isnan(value) else f"{value:.1f}"
            entries.append(
                f'<span style="color:{self.look.channels[row % 8]}">■</span>&nbsp;'
                f"{station[0].upper()}·{label}&nbsp;"
                f'<span style="font-family:JetBrains Mono; color:{self.look.colours.text}">'
                f"{shown}</span>"
            )
        if self._cursor_s is not None and place >= -1 and np.isfinite(times[place]):
            entries.append(f"at {times[place] - now:.1f} s")
        self.legend.setText(" &nbsp; ".join(entries) or "no data")
        self.subtitle.setText("paused" if self.is_paused else "")

    def _use_span(self, span: str) -> None:
        self.span = span
        self.redraw()

    def _pause(self, is_paused: bool) -> None:  # a Qt slot
        self.is_paused = is_paused
        self.pause_button.setIcon(self.look.icon("play" if is_paused else "pause"))
        self.redraw()

    def _point(self, place: QPointF) -> None:
        box = self.plot.getPlotItem().vb
        is_inside = box.sceneBoundingRect().contains(place)
        self._cursor_s = float(box.mapSceneToView(place).x()) if is_inside else None
        self._line.setVisible(is_inside)
        if self._cursor_s is not None:
            self._line.setPos(self._cursor_s)
        self.redraw()
