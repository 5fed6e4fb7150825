"""What the cards of instruments share: a choice, a form of what it holds, and who asked what."""

from __future__ import annotations

import time

from PySide6.QtCore import Qt
from PySide6.QtWidgets import QGridLayout, QLabel, QPushButton, QScrollArea, QVBoxLayout, QWidget

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.fields import Choice, QuantityField, Switch
from gui.desktop.panels.panel import Panel
from gui.desktop.setting_words import CHOICES, Word, read_name, why_unsafe
from gui.desktop.top_bar import SimulatedBadge
from gui.desktop.words import measured
from qnx_hw.api.commands import Configure, Setting
from qnx_hw.api.instrument import InstrumentSettings
from qnx_hw.api.schema import InstrumentView

_RELOAD_S = 5.0
_ANSWERING = {"ready", "busy", "streaming"}

Input = QuantityField | Choice | Switch


class InstrumentPanel(Panel):
    """Settings of one instrument as it holds them.

    A change is sent with the revision it was made from; what the instrument holds afterwards
    replaces the form. The last settings before the first change can be had back by `Revert`.
    Changes here touch hardware, so undo leaves them alone.
    """

    families: tuple[str, ...] = ()

    def __init__(self, name: str, title: str, icon: str, desk: Desk) -> None:
        super().__init__(name, title, icon, desk)
        self.held: InstrumentSettings | None = None
        self._first: InstrumentSettings | None = None
        self._inputs: dict[str, Input] = {}
        self._reasons: dict[str, QLabel] = {}
        self._asked_s = 0.0
        self._waiting = False
        self.choice = Choice("Instrument")
        self.choice.currentTextChanged.connect(lambda _: self._choose())
        self.badge = SimulatedBadge("SIMULATED")
        self.tools.addWidget(self.badge)
        self.state = QLabel("no instrument")
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        self.alarm = QLabel()
        self.alarm.setObjectName("alarm")
        self.alarm.setWordWrap(True)
        self.alarm.hide()
        self.readings = QLabel()
        self.readings.setObjectName("mono")
        self.readings.setWordWrap(True)
        self._form = QGridLayout()
        self._form.setColumnStretch(1, 1)
        self.revert_button = QPushButton("Revert to the settings before")
        self.revert_button.clicked.connect(self._revert)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 4, 0)
        shown: tuple[QWidget, ...] = (self.choice, self.alarm, self.state, self.readings)
        for widget in shown:
            column.addWidget(widget)
        column.addLayout(self._form)
        column.addStretch(1)
        area = QScrollArea()
        area.setWidget(inside)
        area.setWidgetResizable(True)
        area.setAccessibleName(title)
        self.body.addWidget(area, 1)
        self.body.addWidget(self.revert_button)
        desk.instrument_changed.connect(self._follow)

    @property
    def instrument(self) -> InstrumentView | None:
        """The instrument on show."""
        return next((x for x in self._known() if _label(x) == self.choice.currentText()), None)

    def refresh(self) -> None:
        """Draw state and readings; ask for the settings now and then."""
        labels = tuple(_label(each) for each in self._known())
        chosen = self.choice.currentText()
        self.choice.show_choices(labels, chosen if chosen in labels else next(iter(labels), ""))
        view = self.instrument
        self.badge.show_origin(None if view is None else view.is_simulated, self.look)
        if view is None:
            self.state.setText("no such instrument at this node")
            self.revert_button.setEnabled(False)
            return
        kind = "simulated" if view.is_simulated else "hardware"
        parts = (f"{view.model} {view.serial}".strip(), view.state, kind, view.error)
        self.state.setText(" · ".join(part for part in parts if part))
        self.readings.setText(
            "   ".join(f"{r.name} {measured(r.value, r.unit)}" for r in view.readings)
        )
        self.show_alarm(view)
        is_due = time.monotonic() - self._asked_s > _RELOAD_S
        if view.state in _ANSWERING and self.client.is_live and is_due and not self._waiting:
            self._ask(view)
        self._enable(view)

    def show_alarm(self, view: InstrumentView) -> None:
        """Say what is wrong with the instrument beyond its settings."""

    def export_table(self) -> Table | None:
        """Return what the instrument holds."""
        if self.held is None:
            return None
        rows = ((name, str(value)) for name, value in sorted(self.held.settings.items()))
        return Table(("setting", "held"), tuple(rows))

    def input(self, name: str) -> Input:
        """Return the field of a setting."""
        return self._inputs[name]

    def reason(self, name: str) -> QLabel:
        """Return where it stands why a setting's value is unsafe."""
        return self._reasons[name]

    def _known(self) -> list[InstrumentView]:
        return [
            each
            for node in self.client.nodes.values()
            for each in node.instruments
            if each.family in self.families
        ]

    def _follow(self, node: str, name: str) -> None:
        index = self.choice.findText(f"{node} {name}")
        if index >= 0:
            self.choice.setCurrentIndex(index)

    def _choose(self) -> None:
        self.held = self._first = None
        self._asked_s = 0.0
        self._clear()
        self.redraw()

    def _ask(self, view: InstrumentView) -> None:
        self._asked_s = time.monotonic()
        path = ("instruments", view.node, view.name, "settings")
        self.client.requests.get(path, InstrumentSettings, then=self._take, otherwise=self._failed)

    def _take(self, held: InstrumentSettings) -> None:
        """Show what an instrument said it holds, unless another one is on show by now."""
        self._waiting = False
        if f"{held.node} {held.name}" != self.choice.currentText():
            return
        self.held = held
        self._first = self._first or held
        if set(held.settings) != set(self._inputs):
            self._build(held)
        view = self.instrument
        rate = (
            max((r.value for r in view.readings if r.unit == "1/s"), default=None) if view else None
        )
        for name, value in held.settings.items():
            self._show(name, value, rate)
        self.redraw()

    def _failed(self, reason: str) -> None:
        self._waiting = False
        self.state.setText(reason)
        self.desk.told.emit(reason)
        for field in self._inputs.values():
            if isinstance(field, QuantityField):
                field.revert()

    def _clear(self) -> None:
        for index in reversed(range(self._form.count())):
            item = self._form.takeAt(index)
            if item is not None and (widget := item.widget()) is not None:
                widget.hide()
                widget.deleteLater()
        self._inputs, self._reasons = {}, {}

    def _build(self, held: InstrumentSettings) -> None:
        self._clear()
        words = {name: read_name(name) for name in held.settings}
        ordered = sorted(words.items(), key=lambda each: (each[1].channel or 0, each[1].what))
        for row, (name, word) in enumerate(ordered):
            field = self._input(name, word, held.settings[name])
            reason = QLabel()
            reason.setObjectName("alarm")
            reason.setWordWrap(True)
            reason.hide()
            self._form.addWidget(QLabel(word.title), 2 * row, 0)
            self._form.addWidget(field, 2 * row, 1)
            self._form.addWidget(reason, 2 * row + 1, 0, 1, 2)
            self._inputs[name], self._reasons[name] = field, reason

    def _input(self, name: str, word: Word, value: Setting) -> Input:
        if isinstance(value, bool):
            switch = Switch(word.title)
            switch.asked.connect(lambda on: self._configure(name, on))
            return switch
        if isinstance(value, str):
            choice = Choice(word.title)
            choice.textActivated.connect(lambda text: self._configure(name, text))
            return choice
        field = QuantityField(word.title, word.unit)
        whole = isinstance(value, int)
        field.committed.connect(
            lambda number: self._configure(name, round(number) if whole else number)
        )
        field.problem.connect(self.desk.told)
        return field

    def _show(self, name: str, value: Setting, rate_cps: float | None) -> None:
        field, word = self._inputs[name], read_name(name)
        if isinstance(field, QuantityField):
            field.show_held(float(value))
        elif isinstance(field, Switch):
            field.setChecked(bool(value))
        else:
            known = CHOICES.get(word.what, ())
            field.show_choices(known if value in known else (*known, str(value)), str(value))
        why = why_unsafe(word, value, rate_cps)
        reason = self._reasons[name]
        reason.setText(why)
        reason.setVisible(bool(why))
        if isinstance(field, QuantityField):
            field.mark_unsafe(why)

    def _enable(self, view: InstrumentView) -> None:
        can = view.state in _ANSWERING and self.client.is_live and not self._waiting
        why = "it carries out a command" if self._waiting else f"the instrument is {view.state}"
        for field in self._inputs.values():
            field.setEnabled(can)
            if not can:
                field.setToolTip(f"Not now: {why}")
        first, held = self._first, self.held
        is_changed = first is not None and held is not None and first.settings != held.settings
        self.revert_button.setEnabled(can and is_changed)
        self.revert_button.setToolTip("" if is_changed else "Nothing was changed here")

    def _configure(self, name: str, value: Setting) -> None:
        self._send({name: value})

    def _revert(self) -> None:
        if self._first is not None and self.held is not None:
            now = self.held.settings
            self._send({k: v for k, v in self._first.settings.items() if now.get(k) != v})

    def _send(self, settings: dict[str, Setting]) -> None:
        held = self.held
        if held is None:
            return
        self._waiting = True
        self.client.requests.post(
            ("instruments", held.node, held.name, "settings"),
            InstrumentSettings,
            Configure(settings=settings, revision=held.revision),
            then=self._take,
            otherwise=self._failed,
        )
        if (view := self.instrument) is not None:
            self._enable(view)


def _label(view: InstrumentView) -> str:
    return f"{view.node} {view.name}"
