"""The correlation matrix: who clicked together with whom."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt
from PySide6.QtGui import QColor, QPainter, QPaintEvent
from PySide6.QtWidgets import QWidget

from gui.desktop.desk import Desk
from gui.desktop.look import Look, mono_font, text_font
from gui.desktop.panels.panel import Panel

LABELS = "HVDA"
_MARGIN = 34
_GAP = 4
_TEXT_FLIPS_AT = 140
"""Luminance above which text on a cell is dark."""


class MatrixPanel(Panel):
    """Coincidences of each detector pair with their share."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("matrix", "Correlation matrix", "grid-3x3", desk)
        self.matrix = MatrixView(desk.look)
        self.body.addWidget(self.matrix, 1)

    def refresh(self) -> None:
        """Draw the newest matrix."""
        link = self.client.links.get(self.link_name)
        self.matrix.show_counts(link.matrix if link is not None else ())
        total = sum(map(sum, link.matrix)) if link is not None else 0
        self.subtitle.setText(f"{total:,} pairs".replace(",", " ") if total else "no data")

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        if hasattr(self, "matrix"):
            self.matrix.update()


class MatrixView(QWidget):
    """Paints the matrix by itself: ten times faster than a plot item with texts."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._counts: tuple[tuple[int, ...], ...] = ()
        self.setMinimumSize(220, 160)
        self.setAccessibleName("Correlation matrix")

    def show_counts(self, counts: tuple[tuple[int, ...], ...]) -> None:
        """Show other counts."""
        if counts != self._counts:
            self._counts = counts
            self.update()

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw labels and cells."""
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        width = (self.width() - _MARGIN) / 4
        height = (self.height() - 18) / 4
        painter.setFont(text_font(11))
        for index, label in enumerate(LABELS):
            painter.setPen(QColor(self._look.channels[index]))
            row = QRectF(0, 18 + index * height, _MARGIN - 4, height)
            painter.drawText(row, Qt.AlignmentFlag.AlignCenter, f"A·{label}")
            painter.setPen(QColor(self._look.channels[4 + index]))
            column = QRectF(_MARGIN + index * width, 0, width, 16)
            painter.drawText(column, Qt.AlignmentFlag.AlignCenter, f"B·{label}")
        total = sum(map(sum, self._counts)) or 1
        largest = max(map(max, self._counts), default=0) or 1
        for row_index, counts in enumerate(self._counts):
            for column_index, count in enumerate(counts):
                left, top = _MARGIN + column_index * width, 18 + row_index * height
                cell = QRectF(left, top, width - _GAP, height - _GAP)
                self._draw_cell(painter, cell, count, count / largest, count / total)
        painter.end()

    def _draw_cell(
        self, painter: QPainter, cell: QRectF, count: int, strength: float, share: float
    ) -> None:
        colour = _ramp(self._look.heat, strength)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(colour)
        painter.drawRoundedRect(cell, 4, 4)
        luminance = 0.299 * colour.red() + 0.587 * colour.green() + 0.114 * colour.blue()
        painter.setPen(QColor("#0A0E14" if luminance > _TEXT_FLIPS_AT else "#F2F6FA"))
        painter.setFont(mono_font(12))
        upper = cell.adjusted(0, 0, 0, -cell.height() * 0.36)
        painter.drawText(upper, Qt.AlignmentFlag.AlignCenter, f"{count:,}".replace(",", " "))
        painter.setFont(mono_font(10))
        lower = cell.adjusted(0, cell.height() * 0.46, 0, 0)
        painter.drawText(lower, Qt.AlignmentFlag.AlignCenter, f"{share * 100:.1f} %")


def _ramp(colours: tuple[str, ...], strength: float) -> QColor:
    """Mix the two colours of the ramp that are nearest to `strength` (0 to 1)."""
    place = min(max(strength, 0.0), 1.0) * (len(colours) - 1)
    index = min(int(place), len(colours) - 2)
    low, high, part = QColor(colours[index]), QColor(colours[index + 1]), place - index
    return QColor(
        round(low.red() + (high.red() - low.red()) * part),
        round(low.green() + (high.green() - low.green()) * part),
        round(low.blue() + (high.blue() - low.blue()) * part),
    )
