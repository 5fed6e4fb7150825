"""All settings of any one instrument: what is asked for on the left, what it holds on the right."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent
from PySide6.QtWidgets import (
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QScrollArea,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk
from gui.desktop.fields import Choice
from gui.desktop.requests import Pending
from gui.desktop.settings.editors import FieldRow
from gui.desktop.settings.schema import Field, Held, fields_of
from qnx_hw.api.commands import Configure, Setting
from qnx_hw.api.instrument import InstrumentSettings


class InstrumentDialog(QDialog):
    """Asks an instrument what it holds, sends what is edited, and shows what came of it.

    Edits are not undone: a setting moves hardware. What it held before stands beside an edit.
    """

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings of an instrument")
        self.setModal(False)
        self._desk = desk
        self._held: InstrumentSettings | None = None
        self._edits: dict[str, Setting] = {}
        self._asked: dict[str, Setting] = {}
        self._wrong: set[str] = set()
        self._pending: Pending | None = None
        self.rows: dict[str, FieldRow] = {}
        self.read_backs: dict[str, QLabel] = {}
        self.choice = Choice("Instrument")
        self.choice.textActivated.connect(lambda _: self.read())
        self.badge = QLabel()
        self.badge.setObjectName("simulatedWord")
        self.pages = QScrollArea()
        self.pages.setWidgetResizable(True)
        self.pages.setAccessibleName("Settings")
        self.state = QLabel()
        self.state.setObjectName("dim")
        self.state.setWordWrap(True)
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.read_button = QPushButton("Read again")
        self.read_button.clicked.connect(self.read)
        self.apply_button = QPushButton("Apply")
        self.apply_button.setObjectName("primary")
        self.apply_button.clicked.connect(self._apply)
        top = QHBoxLayout()
        top.addWidget(self.choice, 1)
        top.addWidget(self.badge)
        bottom = QHBoxLayout()
        bottom.addWidget(self.state, 1)
        for button in (self.read_button, self.apply_button):
            button.setAutoDefault(False)
            bottom.addWidget(button)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.addLayout(top)
        layout.addWidget(self.pages, 1)
        layout.addLayout(bottom)
        self.resize(860, 460)
        self.show_instrument(*desk.instrument)

    def show_instrument(self, node: str, name: str) -> None:
        """Show another instrument; the first where it is not there."""
        names = tuple(
            f"{each.name} {instrument.name}"
            for each in self._desk.client.nodes.values()
            for instrument in each.instruments
        )
        wish = f"{node} {name}"
        self.choice.show_choices(names, wish if wish in names else next(iter(names), ""))
        self.read()

    def closeEvent(self, event: QCloseEvent) -> None:
        """Forget what is under way."""
        if self._pending is not None:
            self._pending.cancel()
        super().closeEvent(event)

    def read(self) -> None:
        """Ask the instrument what it holds; edits are dropped."""
        node, _, name = self.choice.currentText().partition(" ")
        self._edits, self._asked, self._wrong = {}, {}, set()
        self._show_badge(node, name)
        if name:
            self._say("asking the instrument…")
            self._send(None, node, name)

    def _send(self, body: Configure | None, node: str, name: str) -> None:
        if self._pending is not None:
            self._pending.cancel()
        path = ("instruments", node, name, "settings")
        requests = self._desk.client.requests
        if body is None:
            self._pending = requests.get(
                path, InstrumentSettings, then=self.show_held, otherwise=self._refused
            )
        else:
            self._pending = requests.post(
                path, InstrumentSettings, body, then=self.show_held, otherwise=self._refused
            )
        self._offer()

    def show_held(self, held: InstrumentSettings) -> None:
        """Show what the instrument said, beside what it was asked for."""
        self._held, self._pending = held, None
        self._edits = {}
        self._build(held.settings)
        other = [name for name in self._asked if held.settings.get(name) != self._asked[name]]
        words = "holds what was asked" if self._asked else "as the instrument holds it"
        if other:
            words = f"holds another value than asked: {', '.join(other)}"
        self._say(words)

    def _build(self, settings: Mapping[str, Held]) -> None:
        content = QWidget()
        grid = QGridLayout(content)
        grid.setContentsMargins(0, 8, 0, 0)
        grid.setVerticalSpacing(2)
        for column, words in enumerate(("requested", "read back")):
            heading = QLabel(words)
            heading.setObjectName("note")
            grid.addWidget(heading, 0, column)
        self.rows, self.read_backs = {}, {}
        for number, field in enumerate(fields_of(settings), start=1):
            name = field.path[0]
            row = FieldRow(field, self._desk.look)
            row.edited.connect(partial(self._edit, field))
            row.wrong.connect(partial(self._blame, name))
            back = QLabel(field.write(field.held))
            back.setObjectName("mono")
            back.setAccessibleName(f"{name} as read back")
            self.rows[name], self.read_backs[name] = row, back
            grid.addWidget(row, number, 0)
            grid.addWidget(back, number, 1)
            self._show(field)
        grid.setColumnStretch(0, 1)
        grid.setRowStretch(len(settings) + 1, 1)
        self.pages.setWidget(content)
        self._offer()

    def _show(self, field: Field) -> None:
        name = field.path[0]
        value = self._edits.get(name, self._asked.get(name, field.held))
        self.rows[name].show_value(value, is_edited=name in self._edits)
        differs = name in self._asked and self._asked[name] != field.held
        back = self.read_backs[name]
        back.setObjectName("warning" if differs else "mono")
        back.style().polish(back)

    def _edit(self, field: Field, value: Held) -> None:
        name = field.path[0]
        self._wrong.discard(name)
        self._asked.pop(name, None)
        if value is None or value == field.held:
            self._edits.pop(name, None)
        else:
            self._edits[name] = value
        self._show(field)
        self._offer()

    def _blame(self, name: str, _: str) -> None:
        self._wrong.add(name)
        self._offer()

    def _apply(self) -> None:
        held = self._held
        if held is not None and self._edits:
            self._asked = dict(self._edits)
            self._say("the instrument carries it out…")
            body = Configure(settings=dict(self._edits), revision=held.revision)
            self._send(body, held.node, held.name)

    def _refused(self, reason: str) -> None:
        self._pending, self._asked = None, {}
        self._say(reason)

    def _show_badge(self, node: str, name: str) -> None:
        site = self._desk.client.nodes.get(node)
        for each in site.instruments if site is not None else ():
            if each.name == name:
                colours = self._desk.look.colours
                tint = colours.simulated if each.is_simulated else colours.ok
                self.badge.setText("SIMULATED" if each.is_simulated else "HARDWARE")
                self.badge.setStyleSheet(f"color: {tint}; font-weight: 600; font-size: 11px")

    def _say(self, words: str) -> None:
        self.state.setText(words)
        self._offer()

    def _offer(self) -> None:
        is_waiting = self._pending is not None
        can_apply = bool(self._edits) and not self._wrong and not is_waiting
        self.apply_button.setEnabled(can_apply)
        self.apply_button.setToolTip(
            "" if can_apply else "Not now: nothing is edited, or something is wrong"
        )
        self.read_button.setEnabled(not is_waiting)


def instrument_tool(desk: Desk, window: QWidget) -> None:
    """Offer the settings of the chosen instrument."""

    def show() -> None:
        dialog = InstrumentDialog(desk, window)
        dialog.finished.connect(dialog.deleteLater)
        dialog.show()

    desk.add_action(
        "instrument-settings", "All settings of an instrument…", show, icon="sliders-horizontal"
    )
