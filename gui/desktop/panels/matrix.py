"""The correlation matrix: who clicked together with whom."""

from __future__ import annotations

from PySide6.QtCore import QRectF, Qt, Signal
from PySide6.QtGui import QColor, QKeyEvent, QMouseEvent, QPainter, QPaintEvent, QPen
from PySide6.QtWidgets import QWidget

from gui.desktop.desk import Desk
from gui.desktop.exports import Cell, Table
from gui.desktop.look import Look, mono_font, text_font
from gui.desktop.panels.panel import Panel

LABELS = "HVDA"
_MARGIN = 34
_GAP = 4
_TEXT_FLIPS_AT = 140
"""Luminance above which text on a cell is dark."""


class MatrixPanel(Panel):
    """Coincidences of each detector pair with their share; a click opens the pair's histogram."""

    every = 3

    def __init__(self, desk: Desk) -> None:
        super().__init__("matrix", "Correlation matrix", "grid-3x3", desk)
        self.matrix = MatrixView(desk.look)
        self.matrix.chosen.connect(self._choose)
        desk.pair_changed.connect(self.matrix.mark)
        self.body.addWidget(self.matrix, 1)

    def refresh(self) -> None:
        """Draw the newest matrix."""
        link = self.client.links.get(self.link_name)
        self.matrix.show_counts(link.matrix if link is not None else ())
        total = sum(map(sum, link.matrix)) if link is not None else 0
        self.subtitle.setText(f"{total:,} pairs".replace(",", " ") if total else "no data")

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.matrix.update()

    def export_table(self) -> Table | None:
        """Return the counts."""
        counts = self.matrix.counts
        if not counts:
            return None
        rows: list[tuple[Cell, ...]] = [
            (f"alice {LABELS[i]}", *row) for i, row in enumerate(counts)
        ]
        return Table(("", *(f"bob {LABELS[i]}" for i in range(len(counts[0])))), tuple(rows))

    def _choose(self, alice: int, bob: int) -> None:
        """Show a pair's histogram; the same one again shows all pairs."""
        self.desk.choose_pair(*((-1, -1) if (alice, bob) == self.desk.pair else (alice, bob)))
        self.desk.wanted.emit("histogram")


class MatrixView(QWidget):
    """Paints the matrix by itself: ten times faster than a plot item with texts."""

    chosen = Signal(int, int)

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self.counts: tuple[tuple[int, ...], ...] = ()
        self._marked = (-1, -1)
        self._cursor = (0, 0)
        self.setMinimumSize(220, 160)
        self.setAccessibleName("Correlation matrix")
        self.setAccessibleDescription(
            "Arrows choose a pair of detectors, Enter shows its histogram"
        )
        self.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        self.setCursor(Qt.CursorShape.PointingHandCursor)

    def show_counts(self, counts: tuple[tuple[int, ...], ...]) -> None:
        """Show other counts."""
        if counts != self.counts:
            self.counts = counts
            self.update()

    def mark(self, alice: int, bob: int) -> None:
        """Frame the pair whose histogram is on show."""
        self._marked = (alice, bob)
        self.update()

    def cell(self, row: int, column: int) -> QRectF:
        """Return where a pair is painted."""
        width, height = (self.width() - _MARGIN) / 4, (self.height() - 18) / 4
        left, top = _MARGIN + column * width, 18 + row * height
        return QRectF(left, top, width - _GAP, height - _GAP)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Choose the pair under the mouse."""
        for row, counts in enumerate(self.counts):
            for column in range(len(counts)):
                if self.cell(row, column).contains(event.position()):
                    self._cursor = (row, column)
                    self.chosen.emit(row, column)

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Move with the arrows, choose with Enter."""
        row, column = self._cursor
        steps = {
            Qt.Key.Key_Up: (-1, 0),
            Qt.Key.Key_Down: (1, 0),
            Qt.Key.Key_Left: (0, -1),
            Qt.Key.Key_Right: (0, 1),
        }
        key = Qt.Key(event.key())
        if key in steps:
            down, across = steps[key]
            self._cursor = ((row + down) % 4, (column + across) % 4)
            self.update()
        elif key in (Qt.Key.Key_Return, Qt.Key.Key_Enter, Qt.Key.Key_Space):
            self.chosen.emit(row, column)
        else:
            super().keyPressEvent(event)

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
        total = sum(map(sum, self.counts)) or 1
        largest = max(map(max, self.counts), default=0) or 1
        for row_index, counts in enumerate(self.counts):
            for column_index, count in enumerate(counts):
                cell = self.cell(row_index, column_index)
                self._draw_cell(painter, cell, count, count / largest, count / total)
        colours = self._look.colours
        frames = [(self._marked, colours.accent2)]
        if self.hasFocus():
            frames.append((self._cursor, colours.accent))
        painter.setBrush(Qt.BrushStyle.NoBrush)
        for pair, colour in frames:
            if self.counts and min(pair) >= 0:
                painter.setPen(QPen(QColor(colour), 2))
                painter.drawRoundedRect(self.cell(*pair).adjusted(1, 1, -1, -1), 4, 4)
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
