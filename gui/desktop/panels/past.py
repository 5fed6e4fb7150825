"""Cards that draw the past of a link: curves from the node's history, errors from live views."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from gui.desktop.charts import Bars, Chart, Line
from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.panels.choices import add_choices
from gui.desktop.panels.panel import Panel
from gui.desktop.requests import Pending
from qnx_hw.api.schema import LinkView, Series
from qnx_hw.api.value import Estimate

SPANS_S = {"1 h": 3600, "24 h": 86_400, "7 d": 604_800}
_UNITS_S = {"1 h": 60.0, "24 h": 3600.0, "7 d": 86_400.0}
_AXES = {"1 h": "min", "24 h": "h", "7 d": "days"}
_RELOAD_S = 2.0
_BARS_KEPT = 600


@dataclass(frozen=True, slots=True)
class Curve:
    """A quantity of the node's history, as one curve."""

    quantity: str
    plot: int
    """Which of the card's plots, from above."""
    colour: int
    scale: float
    label: str


class PastPanel(Panel):
    """Plots below each other over one span of time."""

    def __init__(
        self, name: str, title: str, icon: str, desk: Desk, plots: Sequence[tuple[str, str]],
        curves: Sequence[Curve],
    ) -> None:  # fmt: skip
        super().__init__(name, title, icon, desk)
        self.span = "1 h"
        self.plots = [Chart(desk.look, spoken, left) for spoken, left in plots]
        self.plots[-1].name_axis("bottom", _AXES[self.span])
        self._curves = [(each, self.plots[each.plot].add(Line(each.colour))) for each in curves]
        self._series: dict[str, Series] = {}
        self._asked: list[Pending] = []
        self._asked_s = 0.0
        names = [(text, f"Show the last {text}") for text in SPANS_S]
        self.spans = add_choices(self, self.tools, names, self.span, self._use_span)
        for plot in self.plots:
            self.body.addWidget(plot, 1)

    def refresh(self) -> None:
        """Ask for newer history now and then."""
        if self.client.is_live and self.link_name and self._is_due():
            self._ask()

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        for plot in self.plots:
            plot.recolour()

    def show_link(self, name: str) -> None:
        """Draw another link from now on."""
        super().show_link(name)
        self._series.clear()
        self._asked_s = 0.0
        for _, curve in self._curves:
            curve.set(np.zeros(0), np.zeros(0))

    def export_table(self) -> Table | None:
        """Return all quantities over Unix time."""
        known = [self._series[each.quantity] for each, _ in self._curves if self._has(each)]
        if not known:
            return None
        longest = max(known, key=lambda series: len(series.times_s))
        columns = [dict(zip(series.times_s, series.values, strict=True)) for series in known]
        rows = tuple((at, *(column.get(at) for column in columns)) for at in longest.times_s)
        heads = (f"{series.name} ({series.unit})".replace(" ()", "") for series in known)
        return Table(("unix time (s)", *heads), rows)

    def _has(self, curve: Curve) -> bool:
        return curve.quantity in self._series

    def _is_due(self) -> bool:
        return time.monotonic() - self._asked_s > _RELOAD_S

    def _ask(self) -> None:
        self._asked_s = time.monotonic()
        for pending in self._asked:
            pending.cancel()
        span_s, ask = SPANS_S[self.span], self.client.requests.history
        self._asked = [
            ask(self.link_name, each.quantity, span_s, then=partial(self._draw, each, curve))
            for each, curve in self._curves
        ]

    def _draw(self, each: Curve, curve: Line, series: Series) -> None:
        self._series[each.quantity] = series
        scaled = [np.nan if value is None else value * each.scale for value in series.values]
        ages = (np.asarray(series.times_s) - self.desk.now()) / _UNITS_S[self.span]
        curve.set(ages, np.asarray(scaled, dtype=np.float64))
        reach = SPANS_S[self.span] / _UNITS_S[self.span]
        self.plots[each.plot].set_x(-reach, 0.015 * reach)
        self.plots[each.plot].update()

    def _use_span(self, span: str) -> None:
        self.span = span
        self.plots[-1].name_axis("bottom", _AXES[span])
        self._asked_s = 0.0
        self.redraw()


class ErrorBars:
    """Estimates with their standard errors as they came, block by block."""

    def __init__(self, plot: Chart, colour: int, scale: float) -> None:
        self._scale = scale
        self._points: deque[tuple[float, float, float]] = deque(maxlen=_BARS_KEPT)
        self._last: tuple[int, Estimate] | None = None
        self._plot = plot
        self._bars = plot.add(Bars(colour))
        self._drawn: tuple[str, float, int] | None = None

    def add(self, link: LinkView, estimate: Estimate, now_s: float) -> None:
        """Take in an estimate if it is a new one."""
        newest = (link.blocks_done, estimate)
        if newest == self._last or estimate.value is None or not estimate.sigma:
            return
        self._last = newest
        self._points.append((now_s, estimate.value, estimate.sigma))

    def draw(self, span: str, now_s: float) -> None:
        """Draw all that lie in a span up to now, if one came or the oldest moved a pixel."""
        reach_s = SPANS_S[span]
        pixel_s = reach_s / max(self._plot.frame.area.width(), 1.0)
        shown = (span, now_s // pixel_s, len(self._points))
        if shown == self._drawn:
            return
        self._drawn = shown
        inside = [point for point in self._points if now_s - point[0] <= reach_s]
        at, value, sigma = np.asarray(inside).reshape(-1, 3).T
        ages = (at - now_s) / _UNITS_S[span]
        self._bars.set(ages, value * self._scale, sigma * self._scale)
        self._plot.update()

    def clear(self) -> None:
        """Forget all."""
        self._points.clear()
        self._last = self._drawn = None
        self._bars.set(np.zeros(0), np.zeros(0), np.zeros(0))
