"""What a change of the network file would do, before it is done."""

from __future__ import annotations

from html import escape

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QDialog,
    QDialogButtonBox,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QTextBrowser,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.look import Look
from qnx_hw.api.settings import Preview

_HEADINGS = ("value", "now", "then", "in force")


class ReviewDialog(QDialog):
    """Lists the differences and the lines of the file; `agreed` comes when they shall be applied.

    It stays open until the node took the change, so that a refusal is read where it matters.
    """

    agreed = Signal()

    def __init__(self, preview: Preview, look: Look, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Review the change")
        self.table = _table(preview)
        self.lines = QTextBrowser()
        self.lines.setAccessibleName("Lines of the file that change")
        self.lines.setHtml(_coloured(preview.lines, look))
        self.warning = QLabel(
            "The file is written anew: its comments are lost." if preview.loses_comments else ""
        )
        self.warning.setObjectName("warning")
        self.warning.setVisible(preview.loses_comments)
        self.problem = QLabel()
        self.problem.setObjectName("problem")
        self.problem.setTextFormat(Qt.TextFormat.PlainText)
        self.problem.setWordWrap(True)
        buttons = QDialogButtonBox(QDialogButtonBox.StandardButton.Cancel)
        self.apply_button = buttons.addButton("Apply", QDialogButtonBox.ButtonRole.AcceptRole)
        self.apply_button.setObjectName("primary")
        buttons.accepted.connect(self._agree)
        buttons.rejected.connect(self.reject)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        heading = QLabel(_heading(preview))
        heading.setObjectName("title")
        for widget in (heading, self.table, self.lines, self.warning, self.problem, buttons):
            layout.addWidget(widget)
        layout.setStretch(1, 2)
        layout.setStretch(2, 3)
        self.resize(760, 520)

    def refuse(self, reason: str) -> None:
        """Say why the node did not take it."""
        self.problem.setText(reason)
        self.apply_button.setEnabled(True)

    def _agree(self) -> None:
        self.problem.clear()
        self.apply_button.setEnabled(False)
        self.agreed.emit()


def _heading(preview: Preview) -> str:
    count = len(preview.differences)
    live = sum(each.is_live for each in preview.differences)
    rest = count - live
    parts = [f"{live} in force at once"] if live else []
    parts += [f"{rest} from the next start on"] if rest else []
    return f"{count} value{'s' if count != 1 else ''} change: {', '.join(parts) or 'nothing'}"


def _table(preview: Preview) -> QTableWidget:
    table = QTableWidget(len(preview.differences), len(_HEADINGS))
    table.setAccessibleName("Values that change")
    table.setHorizontalHeaderLabels(list(_HEADINGS))
    table.verticalHeader().hide()
    table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
    table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
    table.horizontalHeader().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
    table.setShowGrid(False)
    for row, each in enumerate(preview.differences):
        when = "at once" if each.is_live else "next start"
        for column, words in enumerate(
            (".".join(each.path), _said(each.before), _said(each.after), when)
        ):
            table.setItem(row, column, QTableWidgetItem(words))
    return table


def _said(value: object) -> str:
    if value is None:
        return "default"
    return str(value).lower() if isinstance(value, bool) else str(value)


def _coloured(lines: tuple[str, ...], look: Look) -> str:
    colours = look.colours
    tints = {"+": colours.ok, "-": colours.error, "@": colours.accent}
    rows = [
        f'<span style="color:{tints.get(line[:1], colours.dim)}">{escape(line) or "&nbsp;"}</span>'
        for line in lines
        if not line.startswith(("+++", "---"))
    ]
    return f'<pre style="font-family:JetBrains Mono; font-size:11px">{"<br>".join(rows)}</pre>'
