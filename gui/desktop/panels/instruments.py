"""All instruments of the network, by node, with their live state."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QColor, QIcon, QPainter, QPixmap
from PySide6.QtWidgets import QHeaderView, QTreeWidget, QTreeWidgetItem

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.look import mono_font
from gui.desktop.panels.panel import Panel
from gui.desktop.words import measured
from qnx_hw.api.schema import InstrumentView

_GOOD = {"ready", "busy", "streaming"}
_WAITING = {"connecting", "reconnecting"}
CARDS = {
    "time_tagger": "tagger",
    "photon_detector": "detector",
    "polarization_controller": "polarization",
}
"""The card of each family."""


class InstrumentsPanel(Panel):
    """A tree: node, instrument, one live reading; a badge says what is simulated."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("instruments", "Instruments", "cpu", desk)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Instruments")
        self.tree.setColumnCount(2)
        self.tree.setHeaderHidden(True)
        self.tree.setIndentation(14)
        self.tree.header().setStretchLastSection(False)
        self.tree.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self.tree.header().setSectionResizeMode(1, QHeaderView.ResizeMode.ResizeToContents)
        self._items: dict[tuple[str, str], QTreeWidgetItem] = {}
        self._leds: dict[str, QIcon] = {}
        self._drawn: dict[tuple[str, str], InstrumentView] = {}
        self.tree.currentItemChanged.connect(lambda *_: self._choose())
        self.tree.itemActivated.connect(lambda *_: self._open())
        desk.instrument_changed.connect(self._follow)
        self.body.addWidget(self.tree, 1)

    def refresh(self) -> None:
        """Update every row; rows appear once and stay where they are."""
        for node in self.client.nodes.values():
            parent = self._item(node.name, "", node.name.capitalize())
            state = "" if node.is_online else "offline"
            if parent.text(1) != state:
                parent.setText(1, state)
            for instrument in node.instruments:
                key = (node.name, instrument.name)
                if self._drawn.get(key) != instrument:
                    self._drawn[key] = instrument
                    self._show(self._item(*key, instrument.name), instrument)

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self._leds = {}
        self._drawn = {}

    def export_table(self) -> Table | None:
        """Return all readings."""
        rows = [
            (each.node, each.name, each.state, str(each.is_simulated), r.name, r.value, r.unit)
            for node in self.client.nodes.values()
            for each in node.instruments
            for r in each.readings
        ]
        heads = ("node", "instrument", "state", "simulated", "reading", "value", "unit")
        return Table(heads, tuple(rows)) if rows else None

    def _choose(self) -> None:
        item = self.tree.currentItem()
        for (node, name), known in self._items.items():
            if known is item and name and self.desk.instrument != (node, name):
                self.desk.choose_instrument(node, name)

    def _open(self) -> None:
        """Show the card of the chosen instrument."""
        node, name = self.desk.instrument
        held = self.client.nodes.get(node)
        families = {x.name: x.family for x in held.instruments} if held is not None else {}
        if (card := CARDS.get(families.get(name, ""))) is not None:
            self.desk.wanted.emit(card)

    def _follow(self, node: str, name: str) -> None:
        if (item := self._items.get((node, name))) is not None:
            self.tree.setCurrentItem(item)

    def _show(self, item: QTreeWidgetItem, instrument: InstrumentView) -> None:
        colours = self.look.colours
        state = instrument.state
        tint = (
            colours.ok if state in _GOOD else colours.warn if state in _WAITING else colours.error
        )
        item.setIcon(0, self._led(tint))
        mark = "  ·  SIM" if instrument.is_simulated else ""
        if item.text(0) != instrument.name + mark:
            item.setText(0, instrument.name + mark)
        reading = instrument.readings[0] if instrument.readings else None
        shown = measured(reading.value, reading.unit) if reading and state in _GOOD else state
        item.setText(1, shown)
        item.setForeground(1, QColor(colours.simulated if instrument.is_simulated else colours.dim))
        kind = "simulated" if instrument.is_simulated else "hardware"
        lines = [f"{instrument.model} {instrument.serial}".strip(), f"{state} · {kind}"]
        lines += [f"{r.name} {r.value:.6g} {r.unit}" for r in instrument.readings]
        lines += [instrument.error] if instrument.error else []
        item.setToolTip(0, "\n".join(lines))

    def _item(self, node: str, name: str, text: str) -> QTreeWidgetItem:
        key = (node, name)
        if key not in self._items:
            parent = self._items.get((node, "")) if name else None
            item = QTreeWidgetItem([text, ""])
            item.setFont(1, mono_font())
            item.setTextAlignment(1, Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
            if parent is None:
                self.tree.addTopLevelItem(item)
                item.setExpanded(True)
            else:
                parent.addChild(item)
            self._items[key] = item
        return self._items[key]

    def _led(self, colour: str) -> QIcon:
        if colour not in self._leds:
            drawn = QPixmap(32, 32)
            drawn.fill(Qt.GlobalColor.transparent)
            painter = QPainter(drawn)
            painter.setRenderHint(QPainter.RenderHint.Antialiasing)
            painter.setPen(Qt.PenStyle.NoPen)
            halo = QColor(colour)
            halo.setAlpha(60)
            painter.setBrush(halo)
            painter.drawEllipse(3, 3, 26, 26)
            painter.setBrush(QColor(colour))
            painter.drawEllipse(8, 8, 16, 16)
            painter.end()
            self._leds[colour] = QIcon(drawn)
        return self._leds[colour]
