"""One row of a form: name, editor, limits, and what is wrong, right where it is."""

from __future__ import annotations

from collections.abc import Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QGridLayout,
    QLabel,
    QLineEdit,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.fields import Choice
from gui.desktop.look import Look
from gui.desktop.settings.schema import Field, Held, Kind

_NAME_WIDTH = 210
_EDITOR_WIDTH = 260


class FieldRow(QWidget):
    """Shows a field and what a draft makes of it."""

    edited = Signal(object)
    """The new value; None for the default."""
    wrong = Signal(str)

    def __init__(self, field: Field, look: Look) -> None:
        super().__init__()
        self.field = field
        place = ".".join(field.path)
        self.name = QLabel(field.title)
        self.name.setTextFormat(Qt.TextFormat.PlainText)
        self.name.setToolTip(place)
        self.name.setFixedWidth(_NAME_WIDTH)
        self.editor = _editor(field)
        self.editor.setObjectName(place)
        self.editor.setAccessibleName(place)
        self.editor.setAccessibleDescription(field.limits)
        self.editor.setMinimumWidth(_EDITOR_WIDTH)
        self.reset = QToolButton()
        self.reset.setIcon(look.icon("x"))
        self.reset.setAccessibleName(f"Use the default of {place}")
        self.reset.setToolTip("Use the default")
        self.reset.clicked.connect(lambda: self.edited.emit(None))
        self.note = QLabel()
        self.note.setObjectName("note")
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.note.setWordWrap(True)
        self.problem = QLabel()
        self.problem.setObjectName("problem")
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.setWordWrap(True)
        self.problem.hide()
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 3, 0, 3)
        layout.setHorizontalSpacing(10)
        layout.addWidget(self.name, 0, 0)
        layout.addWidget(self.editor, 0, 1)
        layout.addWidget(self.reset, 0, 2)
        layout.addWidget(self.note, 0, 3)
        layout.addWidget(self.problem, 1, 1, 1, 3)
        layout.setColumnStretch(3, 1)
        self._listen()

    def show_value(self, value: Held, *, is_edited: bool) -> None:
        """Show what the field would hold; what is being typed is left alone."""
        self._show_problem("")
        shown = self.field.default if value is None else value
        editor = self.editor
        editor.blockSignals(True)
        if isinstance(editor, QCheckBox):
            editor.setChecked(bool(shown))
        elif isinstance(editor, Choice):
            editor.show_choices(self.field.choices, str(shown))
        elif isinstance(editor, QLineEdit) and not self._says(editor.text(), shown):
            editor.setText(self.field.write(shown))
        editor.blockSignals(False)
        _mark(editor, "edited", is_edited)
        _mark(self.name, "edited", is_edited)
        is_default = value is None or (not is_edited and self.field.held is None)
        self.reset.setVisible(not is_default and self.field.default is not None)
        self.note.setText(self._words(is_edited=is_edited, is_default=is_default))

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Go back to the file's value with Esc."""
        if event.key() == Qt.Key.Key_Escape and self.editor.property("edited"):
            if isinstance(self.editor, QLineEdit):
                self.editor.setText(self.field.write(self.field.value))
            self.edited.emit(self.field.value)
        else:
            super().keyPressEvent(event)

    def _listen(self) -> None:
        editor = self.editor
        if isinstance(editor, QCheckBox):
            editor.toggled.connect(self._change)
        elif isinstance(editor, Choice):
            editor.textActivated.connect(self._change)
        elif isinstance(editor, QLineEdit):
            editor.textEdited.connect(self._typed)
            editor.editingFinished.connect(self._tidy)

    def _change(self, value: bool | str) -> None:
        self.edited.emit(value)

    def _typed(self, text: str) -> None:
        try:
            value = self.field.read(text)
        except ValueError as error:
            _mark(self.editor, "edited", True)
            self._show_problem(str(error))
            self.wrong.emit(str(error))
            return
        self._show_problem("")
        self.edited.emit(value)

    def _tidy(self) -> None:
        """Write what was typed in full, e.g. `1.4n` as `1400 ps`."""
        editor = self.editor
        if isinstance(editor, QLineEdit) and self.problem.isHidden():
            editor.setText(self.field.write(self.field.read(editor.text()) or self.field.default))

    def _says(self, text: str, value: Held) -> bool:
        """Whether a text means a value already, however it is written."""
        try:
            return bool(text) and self.field.read(text) == value
        except ValueError:
            return False

    def _show_problem(self, words: str) -> None:
        self.problem.setText(words)
        self.problem.setVisible(bool(words))
        _mark(self.editor, "wrong", bool(words))

    def _words(self, *, is_edited: bool, is_default: bool) -> str:
        parts: list[str] = []
        if is_edited:
            held = self.field.held
            was = "the default" if held is None else self.field.write(held)
            parts.append(f"was {was}, not applied yet")
        elif is_default:
            parts.append("default")
        if self.field.limits:
            parts.append(self.field.limits)
        return "  ·  ".join(parts)


class FieldRows(QWidget):
    """Rows below each other."""

    def __init__(self, rows: Sequence[FieldRow]) -> None:
        super().__init__()
        self.rows = {row.field.path: row for row in rows}
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(0)
        for row in rows:
            layout.addWidget(row)
        layout.addStretch(1)


def _editor(field: Field) -> QWidget:
    if field.kind is Kind.SWITCH:
        return QCheckBox()
    if field.kind is Kind.CHOICE:
        return Choice(".".join(field.path))
    return QLineEdit()


def _mark(widget: QWidget, name: str, on: bool) -> None:
    if bool(widget.property(name)) != on:
        widget.setProperty(name, on)
        widget.style().unpolish(widget)
        widget.style().polish(widget)
