"""Count rates of every detector, up to sixteen, with live numbers."""

from __future__ import annotations

import math

import numpy as np
from PySide6.QtWidgets import QLabel, QToolButton

from gui.desktop.charts import Chart, Floats, Line
from gui.desktop.charts.ring import Ring
from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.panels.choices import add_choices
from gui.desktop.panels.panel import Panel
from qnx_hw.api.schema import LinkView

MOST_CHANNELS = 16
SPANS_S = {"10 s": 10, "60 s": 60, "10 min": 600}
_ROWS = 18_000
"""Ten minutes at thirty views a second."""
_WORDS_EVERY_S = 0.2


class RatesPanel(Panel):
    """Curves in a ring of points, which fills also while the card is hidden or paused.

    The picture moves on by whole pixels, so that a frame in which none is won costs nothing.
    """

    every = 1

    def __init__(self, desk: Desk) -> None:
        super().__init__("rates", "Count rates", "activity", desk)
        self.span = "60 s"
        self._last: LinkView | None = None
        self._names: list[tuple[str, str]] = []
        self._ring = Ring(MOST_CHANNELS, _ROWS)
        self._held: tuple[Floats, Floats, float] | None = None
        """What stands still while the card is paused."""
        self._cursor_s: float | None = None
        self._drawn_s = self._worded_s = -math.inf
        self.legend = QLabel()
        self.legend.setObjectName("legend")
        self.legend.setWordWrap(True)
        self.plot = Chart(desk.look, "Count rates in thousands per second", "kcps", "s")
        self._curves = [
            self.plot.add(Line(channel, is_dotted=channel >= 8)) for channel in range(MOST_CHANNELS)
        ]
        self.plot.pointed.connect(self._point)
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

    @property
    def is_paused(self) -> bool:
        """Whether the card stands still."""
        return self._held is not None

    def draw(self) -> bool:
        """Take in the newest rates, seen or not, and draw."""
        link = self.client.links.get(self.link_name)
        if link is not self._last and link is not None and self.client.is_live:
            self._last = link
            self._append(link)
        return super().draw()

    def redraw(self) -> None:
        """Draw with the next frame, even if that wins no pixel."""
        super().redraw()
        self._drawn_s = self._worded_s = -math.inf

    def refresh(self) -> None:
        """Draw what the ring holds."""
        times, rates, now = self._held or (self._ring.times, self._ring.values, self.desk.now())
        span_s = SPANS_S[self.span]
        pixel_s = span_s / max(self.plot.frame.area.width(), 1.0)
        moment = math.floor(now / pixel_s) * pixel_s
        is_due, words_are_due = moment != self._drawn_s, abs(now - self._worded_s) >= _WORDS_EVERY_S
        if is_due:
            self._drawn_s = moment
            self._draw_curves(times, rates, moment, span_s)
        if words_are_due:
            self._worded_s = now
            self._write_legend(times, rates, now)
        if not (is_due and words_are_due) and self.client.is_live and not self.is_paused:
            self._drawn_revision = -1  # the next frame draws what this one left out

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.plot.recolour()
        self.pause_button.setIcon(self.look.icon("play" if self.is_paused else "pause"))

    def show_link(self, name: str) -> None:
        """Draw another link from now on, from an empty plot."""
        super().show_link(name)
        self._names, self._last = [], None
        self.pause_button.setChecked(False)
        self._ring.clear()

    def export_table(self) -> Table | None:
        """Return the ring, one row for each moment."""
        times = self._ring.times
        if not times.size:
            return None
        heads = ("age (s)", *(f"{station} {label} (cps)" for station, label in self._names))
        values = self._ring.values[: len(self._names)].T * 1e3
        return Table(
            heads,
            tuple(
                (float(age), *map(float, row))
                for age, row in zip(times - times[-1], values, strict=True)
            ),
        )

    def _append(self, link: LinkView) -> None:
        shown = link.rates[:MOST_CHANNELS]
        if not shown:
            return
        names = [(rate.station, rate.label) for rate in shown]
        if names != self._names:
            self._names = names
            self._ring.clear()
        self._ring.append(self.desk.now(), np.array([rate.rate_cps / 1e3 for rate in shown]))

    def _draw_curves(self, times: Floats, rates: Floats, moment: float, span_s: float) -> None:
        first = max(int(np.searchsorted(times, moment - span_s)) - 1, 0)
        ages = times[first:] - moment
        for row, curve in enumerate(self._curves):
            is_known = row < len(self._names)
            curve.set(
                ages[: None if is_known else 0], rates[row, first:][: None if is_known else 0]
            )
        self.plot.set_x(-span_s, 0.0)
        self.plot.update()

    def _write_legend(self, times: Floats, rates: Floats, now: float) -> None:
        place, is_past = times.size - 1, self._cursor_s is not None and times.size > 0
        if self._cursor_s is not None and times.size:
            place = int(np.argmin(np.abs(times - now - self._cursor_s)))
        entries = []
        for row, (station, label) in enumerate(self._names if times.size else ()):
            value = rates[row, place]
            shown = "–" if np.isnan(value) else f"{value:.1f}"
            entries.append(
                f'<span style="color:{self.look.channels[row % 8]}">■</span>&nbsp;'
                f"{station[0].upper()}·{label}&nbsp;"
                f'<span style="font-family:JetBrains Mono; color:{self.look.colours.text}">'
                f"{shown}</span>"
            )
        if is_past:
            entries.append(f"at {times[place] - now:.1f} s")
        self.legend.setText(" &nbsp; ".join(entries) or "no data")
        self.subtitle.setText("paused" if self.is_paused else "")

    def _use_span(self, span: str) -> None:
        self.span = span
        self.redraw()

    def _pause(self, is_paused: bool) -> None:  # a Qt slot
        now = self.desk.now()
        held = (self._ring.times.copy(), self._ring.values.copy(), now)
        self._held = held if is_paused else None
        self.pause_button.setIcon(self.look.icon("play" if is_paused else "pause"))
        self.redraw()

    def _point(self, age_s: float | None) -> None:
        self._cursor_s = age_s
        self.redraw()
