"""The strip of key figures under the top bar."""

from __future__ import annotations

from collections import deque

from PySide6.QtCore import QPointF
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.desktop.look import Look
from qnx_hw.api.schema import LinkView
from qnx_hw.api.value import Estimate

NO_DATA = "–"
SPARK_VALUES = 60


class Figure(QFrame):
    """One number with its unit and a line of context."""

    def __init__(self, title: str) -> None:
        super().__init__()
        self.setObjectName("figureCard")
        self.value = QLabel(NO_DATA)
        self.value.setObjectName("figure")
        self.value.setAccessibleName(title)
        self.unit = QLabel()
        self.unit.setObjectName("dim")
        self.note = QLabel("no data")
        self.note.setObjectName("note")
        heading = QLabel(title)
        heading.setObjectName("note")
        row = QHBoxLayout()
        row.setSpacing(6)
        row.addWidget(self.value)
        row.addWidget(self.unit)
        row.addStretch(1)
        self.spark = Sparkline()
        outer = QHBoxLayout(self)
        outer.setContentsMargins(12, 8, 12, 8)
        layout = QVBoxLayout()
        layout.setSpacing(1)
        outer.addLayout(layout, 1)
        outer.addWidget(self.spark)
        for part in (heading, row, self.note):
            if isinstance(part, QWidget):
                layout.addWidget(part)
            else:
                layout.addLayout(part)

    def show_value(self, value: str, unit: str, note: str) -> None:
        """Replace number, unit and context."""
        self.value.setText(value)
        self.unit.setText(unit if value != NO_DATA else "")
        self.note.setText(note)


class Sparkline(QWidget):
    """The newest values as a line without axes; the number beside it says how much."""

    def __init__(self) -> None:
        super().__init__()
        self._of = ""
        self._values: deque[float] = deque(maxlen=SPARK_VALUES)
        self._colour = QColor()
        self.setFixedSize(64, 28)

    def add(self, of: str, value: float | None) -> None:
        """Append a value of something; of another one, start anew."""
        if of != self._of:
            self._of = of
            self._values.clear()
        if value is not None:
            self._values.append(value)
            self.update()

    def paint_in(self, colour: str) -> None:
        """Use another colour."""
        self._colour = QColor(colour)
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the line, scaled to its own extremes."""
        if len(self._values) < 2:
            return
        low, high = min(self._values), max(self._values)
        span = (high - low) or 1.0
        step = (self.width() - 4) / (SPARK_VALUES - 1)
        begin = self.width() - 2 - step * (len(self._values) - 1)
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(self._colour, 1.2))
        tall = self.height() - 6
        points = [
            QPointF(begin + step * index, 3 + tall * (1.0 - (value - low) / span))
            for index, value in enumerate(self._values)
        ]
        painter.drawPolyline(QPolygonF(points))
        painter.end()


class Figures(QWidget):
    """Coincidences, QBER, CHSH S, secret key rate and key pool of one link."""

    def __init__(self) -> None:
        super().__init__()
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 8, 0, 8)
        layout.setSpacing(8)
        self.coincidences = Figure("Coincidences")
        self.qber = Figure("QBER Z | X")
        self.chsh = Figure("CHSH S")
        self.key_rate = Figure("Secret key rate")
        self.pool = Figure("Key pool")
        self._all = (self.coincidences, self.qber, self.chsh, self.key_rate, self.pool)
        for figure in self._all:
            layout.addWidget(figure, 1)

    def paint(self, look: Look) -> None:
        """Take over the colours of the theme."""
        colours = look.colours
        tints = (colours.accent2, look.channels[0], colours.simulated, colours.ok, colours.accent)
        for figure, tint in zip(self._all, tints, strict=True):
            figure.spark.paint_in(tint)

    def show_link(self, link: LinkView) -> None:
        """Show a link's numbers, honest about those that do not exist yet."""
        newest = (
            link.coincidence_rate_cps,
            link.qber.value,
            link.chsh_s.value,
            link.secret_rate_bps,
            float(link.pool_bits),
        )
        for figure, number in zip(self._all, newest, strict=True):
            figure.spark.add(link.name, number)
        rate = (
            NO_DATA
            if link.coincidence_rate_cps is None
            else f"{link.coincidence_rate_cps / 1e3:.2f}"
        )
        car = (
            "no data"
            if link.car is None
            else f"CAR {link.car:.1f} · {link.window_ps / 1e3:.2f} ns window"
        )
        self.coincidences.show_value(rate, "kcps", car)
        both = f"{_percent(link.qber_z)} | {_percent(link.qber_x)}"
        known = link.qber_z.value is not None or link.qber_x.value is not None
        self.qber.show_value(
            both if known else NO_DATA, "%", f"limit {link.qber_limit * 100:.2f} %"
        )
        self._show_chsh(link.chsh_s)
        key = NO_DATA if link.secret_rate_bps is None else f"{link.secret_rate_bps / 1e3:.2f}"
        self.key_rate.show_value(key, "kbit/s", f"finite key, ε = {epsilon(link.epsilon)}")
        value, unit = bits(link.pool_bits)
        gained = " ".join(bits(link.last_block_secret_bits))
        note = f"+ {gained} last block" if link.last_block_secret_bits else "no block yet"
        self.pool.show_value(value, unit, note)

    def _show_chsh(self, chsh: Estimate) -> None:
        if chsh.value is None:
            self.chsh.show_value(NO_DATA, "", "no data")
        elif not chsh.sigma:
            self.chsh.show_value(f"{chsh.value:.3f}", "", "")
        else:
            above = (chsh.value - 2) / chsh.sigma
            self.chsh.show_value(
                f"{chsh.value:.3f}", f"± {chsh.sigma:.3f}", f"{above:.0f} σ above 2"
            )


def bits(count: int) -> tuple[str, str]:
    """Write a number of bits with a fitting unit."""
    for size, unit in ((1e9, "Gbit"), (1e6, "Mbit"), (1e3, "kbit")):
        if count >= size:
            return f"{count / size:.2f}", unit
    return str(count), "bit"


def _percent(estimate: Estimate) -> str:
    return NO_DATA if estimate.value is None else f"{estimate.value * 100:.2f}"


def epsilon(value: float) -> str:
    """Write a failure probability: `3.1·10⁻¹⁰`."""
    if value <= 0.0:
        return "–"
    mantissa, exponent = f"{value:.0e}".split("e")
    raised = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if mantissa == "1" else f"{mantissa}·10{raised}"
