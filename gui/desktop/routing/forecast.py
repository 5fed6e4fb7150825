"""What was expected of a quantity beside what came."""

from __future__ import annotations

import numpy as np
from PySide6.QtCore import Qt
from PySide6.QtWidgets import QHBoxLayout, QLabel, QVBoxLayout, QWidget

from gui.desktop.charts import Band, Chart, Floats, Line
from gui.desktop.fields import Choice
from gui.desktop.look import Look
from gui.desktop.words import percent, quantity
from qnx_hw.api.traffic import Forecast


class ForecastWidget(QWidget):
    """One forecast at a time: its band, its middle, and what was measured."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._forecasts: dict[str, Forecast] = {}
        self.choice = Choice("Forecast")
        self.choice.currentTextChanged.connect(lambda _: self._draw())
        self.note = QLabel("no forecast yet")
        self.note.setObjectName("note")
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.plot = Chart(look, "Forecast against what came", "bit/s", "min")
        self._band = self.plot.add(Band(1))
        self._expected = self.plot.add(Line(1))
        self._actual = self.plot.add(Line(0))
        row = QHBoxLayout()
        row.addWidget(self.choice, 1)
        row.addWidget(self.note, 2)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 6, 0, 0)
        layout.addLayout(row)
        layout.addWidget(self.plot, 1)
        self.recolour()

    def show_forecasts(self, forecasts: tuple[Forecast, ...]) -> None:
        """Show newer forecasts."""
        self._forecasts = {each.name: each for each in forecasts}
        chosen = self.choice.currentText()
        names = tuple(self._forecasts)
        self.choice.show_choices(names, chosen if chosen in names else next(iter(names), ""))
        self._draw()

    @property
    def shown(self) -> Forecast | None:
        """The forecast on show."""
        return self._forecasts.get(self.choice.currentText())

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.plot.recolour()

    def _draw(self) -> None:
        forecast = self.shown
        if forecast is None:
            self.note.setText("no forecast yet")
            return
        times = np.asarray(forecast.times_s)
        minutes = (times - times[-1]) / 60 if len(times) else times
        low, high = _values(forecast.low), _values(forecast.high)
        inside = np.isfinite(low) & np.isfinite(high)
        self._band.set(minutes[inside], low[inside], high[inside])
        self._expected.set(minutes, _values(forecast.expected))
        self._actual.set(minutes, _values(forecast.actual))
        if minutes.size > 1:
            self.plot.set_x(float(minutes[0]), float(minutes[-1]))
        self.plot.name_axis("left", forecast.unit)
        self.plot.update()
        self.note.setText(_words(forecast))


def error(forecast: Forecast) -> float | None:
    """Return the mean miss as a part of what came; None where nothing came yet."""
    expected, actual = _values(forecast.expected), _values(forecast.actual)
    both = np.isfinite(expected) & np.isfinite(actual)
    came = float(np.abs(actual[both]).sum())
    return None if came == 0 else float(np.abs(expected - actual)[both].sum()) / came


def inside_band(forecast: Forecast) -> float | None:
    """Return how often what came lay between low and high."""
    low, high, actual = (_values(each) for each in (forecast.low, forecast.high, forecast.actual))
    known = np.isfinite(low) & np.isfinite(high) & np.isfinite(actual)
    if not known.any():
        return None
    return float(np.mean((low <= actual)[known] & (actual <= high)[known]))


def _words(forecast: Forecast) -> str:
    newest = next((v for v in reversed(forecast.expected) if v is not None), None)
    return (
        f"{forecast.model}: next {quantity(newest, forecast.unit)}, mean miss "
        f"{percent(error(forecast), digits=1)}, {percent(inside_band(forecast))} in the band"
    )


def _values(values: tuple[float | None, ...]) -> Floats:
    return np.asarray([np.nan if value is None else value for value in values], dtype=np.float64)
