"""Small painted bars: how full something is, against what was expected; shares of a whole."""

from __future__ import annotations

from PySide6.QtCore import QRectF, QSize, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QSizePolicy, QWidget

from gui.desktop.look import Look, text_font
from gui.desktop.network_map.drawing import load_colour
from gui.desktop.words import percent


class UtilisationBar(QWidget):
    """How full the fullest hop is, with a mark where the plan expected it."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._expected: float | None = None
        self._measured: float | None = None
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Utilisation of the fullest hop")

    def sizeHint(self) -> QSize:
        """Return a flat strip."""
        return QSize(220, 44)

    def show_values(self, expected: float | None, measured: float | None) -> None:
        """Show other values."""
        self._expected, self._measured = expected, measured
        words = f"measured {percent(measured)}, expected {percent(expected)}"
        self.setAccessibleDescription(words)
        self.setToolTip(f"Utilisation of the fullest hop: {words}")
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the bar."""
        colours, painter = self._look.colours, QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(text_font(11))
        painter.setPen(QColor(colours.dim))
        top = QRectF(0, 0, self.width(), 16)
        painter.drawText(top, Qt.AlignmentFlag.AlignLeft, "fullest hop")
        words = f"measured {percent(self._measured)}   expected {percent(self._expected)}"
        painter.setPen(QColor(colours.text))
        painter.drawText(top, Qt.AlignmentFlag.AlignRight, words)
        track = QRectF(0, 22, self.width(), 8)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.line))
        painter.drawRoundedRect(track, 4, 4)
        if self._measured is not None:
            part = min(max(self._measured, 0.0), 1.0)
            painter.setBrush(load_colour(self._look, part))
            painter.drawRoundedRect(QRectF(0, 22, self.width() * part, 8), 4, 4)
        if self._expected is not None:
            x = self.width() * min(max(self._expected, 0.0), 1.0)
            painter.setPen(QPen(QColor(colours.text), 2))
            painter.drawLine(round(x), 18, round(x), 34)
        painter.end()


class SharesBar(QWidget):
    """Parts of one, side by side, with their names."""

    def __init__(self, name: str, look: Look) -> None:
        super().__init__()
        self._look = look
        self._parts: tuple[tuple[str, float], ...] = ()
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName(name)

    def sizeHint(self) -> QSize:
        """Return a flat strip."""
        return QSize(220, 34)

    def show_parts(self, names: tuple[str, ...], shares: tuple[float, ...]) -> None:
        """Show other parts."""
        self._parts = tuple(zip(names, shares, strict=False))
        words = ", ".join(f"{name} {percent(share)}" for name, share in self._parts)
        self.setAccessibleDescription(words)
        self.setToolTip(words)
        self.setVisible(bool(self._parts))
        self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw the parts."""
        painter, x = QPainter(self), 0.0
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setFont(text_font(10))
        for number, (name, share) in enumerate(self._parts):
            width = self.width() * share
            colour = QColor(self._look.channels[number % 8])
            painter.setPen(Qt.PenStyle.NoPen)
            painter.setBrush(colour)
            painter.drawRoundedRect(QRectF(x, 0, max(width - 2, 1.0), 7), 3, 3)
            painter.setPen(QColor(self._look.colours.dim))
            painter.drawText(QRectF(x, 11, max(width - 6, 0), 16), 0, f"{name} {percent(share)}")
            x += width
        painter.end()
