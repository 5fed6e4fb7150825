"""The coincidence histogram with the pipeline's window, which can be dragged, and a fit."""

from __future__ import annotations

import numpy as np

from gui.desktop.charts import Chart, Line, SpanHandle, Steps
from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.fields import QuantityField
from gui.desktop.panels.choices import add_choices
from gui.desktop.panels.matrix import LABELS
from gui.desktop.panels.panel import Panel
from gui.desktop.peak_fit import Peak, fit_peak
from gui.desktop.setting_change import change_setting
from qnx_hw.api.commands import SetWindow
from qnx_hw.api.delays import DelaysView
from qnx_hw.api.schema import Histogram, LinkView

_LEAST_PS, _MOST_PS = 10.0, 1e6


class HistogramPanel(Panel):
    """Coincidences against delay. The window on show is the one the node holds.

    Dragging an edge, or typing a width, asks the node; until it answers, the asked width stands
    beside the held one.
    """

    every = 3

    def __init__(self, desk: Desk) -> None:
        super().__init__("histogram", "Coincidences", "chart-line", desk)
        self.fitted: Peak | None = None
        self._asked_ps: int | None = None
        self._drawn: Histogram | None = None
        self.plot = Chart(
            desk.look, "Coincidence histogram", "counts / bin", "delay (ns)", can_zoom=True
        )
        self._curve = self.plot.add(Steps(6))
        self._fit_curve = self.plot.add(Line(5))
        self.handle = SpanHandle(self.plot, _LEAST_PS / 2e3)
        self.handle.dragged.connect(self._drag)
        self.handle.dropped.connect(lambda half_ns: self.ask_window(round(2e3 * half_ns)))
        self.plot.handle = self.handle
        self.width_field = QuantityField("Coincidence window", "ps", _LEAST_PS, _MOST_PS)
        self.width_field.setFixedWidth(92)
        self.width_field.setToolTip("Full width of the window; Enter sends it")
        self.width_field.committed.connect(lambda width_ps: self.ask_window(round(width_ps)))
        self.width_field.problem.connect(desk.told)
        self.numbers = self.plot.add_words()
        self.tools.addWidget(self.width_field)
        scales = [("lin", "Linear scale"), ("log", "Logarithmic scale")]
        add_choices(self, self.tools, scales, "lin", self._use_scale)
        self.body.addWidget(self.plot, 1)
        desk.pair_changed.connect(lambda *_: self._choose_pair())
        self.recolour()

    def refresh(self) -> None:
        """Draw the newest histogram and the window that the node holds."""
        link = self.client.links.get(self.link_name)
        shown = self._shown(link)
        self.subtitle.setText(self._title(shown))
        if link is None or shown is None:
            self.numbers.setText("no data")
            self._clear()
            return
        if shown != self._drawn:
            self._drawn = shown
            self._draw_counts(shown)
        if self._asked_ps is not None and link.window_ps == self._asked_ps:
            self._asked_ps = None
        self.width_field.show_held(link.window_ps)
        if not self.handle.is_dragged:
            # Delays are counted from where the tracked clock expects them: around zero.
            self._show_window(link.window_ps / 2e3)
        self._write(link)

    def ask_window(self, width_ps: int) -> None:
        """Ask the node for another window; can be undone."""
        link = self.client.links.get(self.link_name)
        width_ps = round(min(max(width_ps, _LEAST_PS), _MOST_PS))
        if link is None or link.window_ps == width_ps:
            self.redraw()
            return
        name, before_ps = link.name, link.window_ps
        change_setting(
            self.desk.undo,
            f"Window of {name} {width_ps} ps",
            lambda: self._send(name, width_ps, before_ps),
            lambda: self._send(name, before_ps, width_ps),
        )

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.plot.recolour()

    def show_link(self, name: str) -> None:
        """Draw another link from now on."""
        super().show_link(name)
        self._drawn, self._asked_ps = None, None

    def export_table(self) -> Table | None:
        """Return the bins."""
        if self._drawn is None:
            return None
        start, step = self._drawn.start_ps, self._drawn.bin_ps
        rows = ((start + index * step, count) for index, count in enumerate(self._drawn.counts))
        return Table(("delay from (ps)", "coincidences"), tuple(rows))

    def _shown(self, link: LinkView | None) -> Histogram | None:
        """Return the histogram of the chosen pair, or of all pairs together.

        Which of Bob's detectors clicked is the key and is not told; delays of a pair are of the
        rounds that both stations published.
        """
        alice, bob = self.desk.pair
        if alice < 0:
            return None if link is None else link.histogram
        delays = self.client.views(DelaysView).get(self.link_name)
        if delays is None:
            return None
        return Histogram(
            start_ps=delays.start_ps, bin_ps=delays.bin_ps, counts=delays.counts[alice][bob]
        )

    def _title(self, shown: Histogram | None) -> str:
        alice, bob = self.desk.pair
        if alice < 0:
            return "all pairs"
        name = f"A·{LABELS[alice]} × B·{LABELS[bob]}"
        if shown is None:
            return f"{name}: no data"
        return f"{name}: {sum(shown.counts):,} published".replace(",", " ")

    def _clear(self) -> None:
        none = np.zeros(0)
        self._curve.set(none, none)
        self._fit_curve.set(none, none)
        self._drawn = self.fitted = None
        self.plot.update()

    def _choose_pair(self) -> None:
        self._drawn = None
        self.redraw()

    def _draw_counts(self, shown: Histogram) -> None:
        counts = np.asarray(shown.counts, dtype=np.float64)
        edges = (shown.start_ps + shown.bin_ps * np.arange(counts.size + 1)) / 1e3
        middles = edges[:-1] + shown.bin_ps / 2e3
        self.fitted = fit_peak(middles, counts)
        fine = np.linspace(edges[0], edges[-1], 400)
        none = np.zeros(0)
        self._curve.set(edges, counts)
        self._fit_curve.set(
            *((none, none) if self.fitted is None else (fine, self.fitted.curve(fine)))
        )
        self.plot.set_x(float(edges[0]), float(edges[-1]))
        self.plot.update()

    def _show_window(self, half_ns: float) -> None:
        if self.handle.half != half_ns:
            self.handle.half = half_ns
            self.plot.update()

    def _write(self, link: LinkView) -> None:
        lines = []
        if self.fitted is not None:
            lines.append(f"peak {self.fitted.centre:.3f} ns")
            lines.append(f"FWHM {self.fitted.fwhm:.2f} ns")
        car = link.car if self.desk.pair[0] < 0 else None
        if car is None and self.fitted is not None:
            car = self.fitted.car(link.window_ps / 1e3)
        lines.append("CAR –" if car is None else f"CAR {car:.1f}")
        if self._asked_ps is not None:
            lines.append(f"asked {self._asked_ps / 1e3:.2f} ns")
        lines.append(f"held {link.window_ps / 1e3:.2f} ns")
        self.numbers.setText("\n".join(lines))

    def _drag(self, half_ns: float) -> None:
        self._asked_ps = round(2e3 * half_ns)
        self.numbers.setText(f"window {2 * half_ns:.2f} ns")

    def _send(self, link: str, width_ps: int, expected_ps: int) -> None:
        self._asked_ps = width_ps
        body = SetWindow(window_ps=width_ps, expected_ps=expected_ps)
        path = ("links", link, "window")
        requests = self.client.requests
        requests.post(path, LinkView, body, then=lambda _: self.redraw(), otherwise=self._refused)
        self.redraw()

    def _refused(self, reason: str) -> None:
        self._asked_ps = None
        self.desk.told.emit(reason)
        self.redraw()

    def _use_scale(self, scale: str) -> None:
        self.plot.is_log = scale == "log"
        self.plot.recolour()
