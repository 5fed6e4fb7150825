"""Key in stock: how much, what comes and goes, when it runs dry."""

from __future__ import annotations

from PySide6.QtCore import QModelIndex, QPersistentModelIndex, QRectF, Qt
from PySide6.QtGui import QColor, QPainter
from PySide6.QtWidgets import QStyledItemDelegate, QStyleOptionViewItem

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.look import Look
from gui.desktop.panels.panel import Panel
from gui.desktop.traffic.rows import Column, RowsModel
from gui.desktop.traffic.table import RowsTable
from gui.desktop.words import quantity, span
from qnx_hw.api.traffic import PoolView

SOON_S = 4 * 3600.0
_LEVEL = 1


class PoolsPanel(Panel):
    """One row for each pair of nodes that hold key in common."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("pools", "Key pools", "database", desk)
        self.rows: RowsModel[PoolView] = RowsModel(self._columns())
        self.view = RowsTable("Key pools", self.rows, wide=_LEVEL)
        self.view.setItemDelegateForColumn(_LEVEL, LevelDelegate(desk.look, self.view))
        self.view.chosen.connect(self._choose)
        self.body.addWidget(self.view, 1)

    def refresh(self) -> None:
        """Draw the newest stock."""
        pools = self.client.pools
        self.rows.show_views(pools.values())
        dry = [pool for pool in pools.values() if _is_low(pool)]
        self.subtitle.setText(f"{len(dry)} of {len(pools)} low" if pools else "no pool")

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.view.viewport().update()

    def export_table(self) -> Table | None:
        """Return all pools."""
        return self.view.table()

    def _choose(self, name: str) -> None:
        pool = self.client.pools.get(name)
        if pool is not None and pool.link in self.client.links:
            self.desk.choose_link(pool.link)

    def _columns(self) -> tuple[Column[PoolView], ...]:
        def tint(pool: PoolView) -> str:
            if pool.exhausted_in_s is None:
                return ""
            colours = self.look.colours
            return colours.error if pool.exhausted_in_s < SOON_S / 4 else colours.warn

        return (
            Column("pool", lambda p: f"{p.node} – {p.peer}", lambda p: p.name),
            Column(
                "stock", lambda p: quantity(p.stock_bits, "bit"), _part, "stock (part of capacity)",
                is_number=True,
            ),
            Column(
                "in", lambda p: quantity(p.in_bps, "bit/s"), lambda p: p.in_bps, "in (bit/s)",
                is_number=True,
            ),
            Column(
                "out", lambda p: quantity(p.out_bps, "bit/s"), lambda p: p.out_bps, "out (bit/s)",
                is_number=True,
            ),
            Column(
                "empty in", lambda p: span(p.exhausted_in_s), lambda p: p.exhausted_in_s,
                "empty in (s)", tint, is_number=True,
            ),
            Column("filled by", lambda p: p.link or "relay", lambda p: p.link or "relay"),
        )  # fmt: skip


class LevelDelegate(QStyledItemDelegate):
    """Paints the stock as a bar with the reserve as a mark."""

    def __init__(self, look: Look, table: RowsTable) -> None:
        super().__init__(table)
        self._look = look
        self._table = table

    def paint(
        self,
        painter: QPainter,
        option: QStyleOptionViewItem,
        index: QModelIndex | QPersistentModelIndex,
    ) -> None:
        """Paint a cell."""
        pool: PoolView = self._table.rows.view(self._table.sorted.mapToSource(index).row())
        colours, area = self._look.colours, QRectF(option.rect).adjusted(6, 0, -6, 0)
        if self._table.selectionModel().isRowSelected(index.row(), QModelIndex()):
            painter.fillRect(option.rect, QColor(colours.raised))
        painter.save()
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        words = f"{quantity(pool.stock_bits, 'bit')}"
        painter.setPen(QColor(colours.text))
        painter.setFont(self._table.font())
        painter.drawText(
            QRectF(area.right() - 78, area.top(), 78, area.height()),
            Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter,
            words,
        )
        track = QRectF(area.left(), area.center().y() - 3, max(area.width() - 88, 20.0), 6)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(colours.line2))
        painter.drawRoundedRect(track, 3, 3)
        painter.setBrush(QColor(colours.warn if _is_low(pool) else colours.ok))
        painter.drawRoundedRect(
            QRectF(track.left(), track.top(), track.width() * (_part(pool) or 0.0), 6), 3, 3
        )
        if pool.reserve_bits and pool.capacity_bits:
            x = track.left() + track.width() * min(pool.reserve_bits / pool.capacity_bits, 1.0)
            painter.fillRect(QRectF(x - 1, track.top() - 3, 2, 12), QColor(colours.text))
        painter.restore()


def _part(pool: PoolView) -> float | None:
    return min(pool.stock_bits / pool.capacity_bits, 1.0) if pool.capacity_bits else None


def _is_low(pool: PoolView) -> bool:
    """Whether only what is kept back is left, or it runs dry soon."""
    is_soon = pool.exhausted_in_s is not None and pool.exhausted_in_s < SOON_S
    return is_soon or (pool.reserve_bits > 0 and pool.stock_bits <= pool.reserve_bits)
