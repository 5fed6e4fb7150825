"""The window that shows and changes the network file."""

from __future__ import annotations

from PySide6.QtCore import Qt
from PySide6.QtGui import QKeySequence, QShortcut
from PySide6.QtWidgets import (
    QDialog,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QPushButton,
    QScrollArea,
    QSplitter,
    QTabWidget,
    QTreeWidget,
    QTreeWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.desk import Desk
from gui.desktop.settings.draft import FileDraft
from gui.desktop.settings.editors import FieldRow, FieldRows
from gui.desktop.settings.history import HistoryView
from gui.desktop.settings.review import ReviewDialog
from gui.desktop.settings.schema import Group, Path
from qnx_hw.api.settings import Preview, Settings

_PATH = Qt.ItemDataRole.UserRole


class SettingsWindow(QDialog):
    """A tree of tables, the fields of the chosen one, and a bar that says what is not applied."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Settings")
        self.setModal(False)
        self._desk = desk
        self.draft = FileDraft(desk.undo)
        self._page: FieldRows | None = None
        self._reviewing: ReviewDialog | None = None
        self.search = QLineEdit()
        self.search.setPlaceholderText("Search settings")
        self.search.setAccessibleName("Search settings")
        self.search.setClearButtonEnabled(True)
        self.search.textChanged.connect(self._fill_tree)
        self.tree = QTreeWidget()
        self.tree.setAccessibleName("Tables of the network file")
        self.tree.setHeaderHidden(True)
        self.tree.setIndentation(14)
        self.tree.currentItemChanged.connect(lambda *_: self._show_page())
        self.heading = QLabel()
        self.heading.setObjectName("title")
        self.words = QLabel()
        self.words.setObjectName("note")
        self.words.setWordWrap(True)
        self.pages = QScrollArea()
        self.pages.setAccessibleName("Fields")
        self.pages.setWidgetResizable(True)
        self.pages.setFrameShape(QScrollArea.Shape.NoFrame)
        self.history = HistoryView(self._review_version)
        self.tabs = QTabWidget()
        self.tabs.setAccessibleName("Settings and their history")
        self.tabs.tabBar().setAccessibleName("Settings and their history")
        self.tabs.addTab(self._form(), "Network file")
        self.tabs.addTab(self.history, "History")
        self.stale = QLabel()
        self.stale.setObjectName("warning")
        self.stale.setWordWrap(True)
        self.stale.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(14, 12, 14, 12)
        layout.addWidget(self.tabs, 1)
        layout.addWidget(self.stale)
        layout.addLayout(self._bar())
        self.draft.changed.connect(self._show_edits)
        self.draft.loaded.connect(self._show_file)
        QShortcut(QKeySequence(QKeySequence.StandardKey.Undo), self).activated.connect(
            desk.undo.undo
        )
        QShortcut(QKeySequence(QKeySequence.StandardKey.Redo), self).activated.connect(
            desk.undo.redo
        )
        self.resize(1020, 680)
        self._show_edits()

    def load(self) -> None:
        """Ask the node for its file and its history."""
        requests = self._desk.client.requests
        requests.get(("settings",), Settings, then=self.draft.load, otherwise=self._tell)
        self.history.load(self._desk)

    def show_path(self, path: Path) -> None:
        """Bring the table of a value to the front."""
        for item in self._items():
            if item.data(0, _PATH) == path[: len(item.data(0, _PATH))]:
                self.tree.setCurrentItem(item)

    def row(self, *path: str) -> FieldRow:
        """Return the row of a field on the page that is shown."""
        assert self._page is not None
        return self._page.rows[path]

    def _form(self) -> QWidget:
        left, right = QWidget(), QWidget()
        column = QVBoxLayout(left)
        column.setContentsMargins(0, 8, 6, 0)
        column.addWidget(self.search)
        column.addWidget(self.tree, 1)
        fields = QVBoxLayout(right)
        fields.setContentsMargins(14, 10, 0, 0)
        for widget in (self.heading, self.words, self.pages):
            fields.addWidget(widget)
        fields.setStretch(2, 1)
        both = QSplitter()
        both.addWidget(left)
        both.addWidget(right)
        both.setSizes([250, 740])
        both.setChildrenCollapsible(False)
        return both

    def _bar(self) -> QHBoxLayout:
        self.state = QLabel()
        self.state.setObjectName("dim")
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.reload_button = QPushButton("Load the new file, keep my changes")
        self.reload_button.clicked.connect(self.load)
        self.reload_button.hide()
        self.discard_button = QPushButton("Discard changes")
        self.discard_button.clicked.connect(self.draft.discard)
        self.review_button = QPushButton("Review and apply…")
        self.review_button.setObjectName("primary")
        self.review_button.clicked.connect(self._review)
        bar = QHBoxLayout()
        bar.addWidget(self.state, 1)
        for button in (self.reload_button, self.discard_button, self.review_button):
            button.setAutoDefault(False)
            bar.addWidget(button)
        return bar

    def _show_file(self) -> None:
        self.reload_button.hide()
        overtaken = ", ".join(".".join(field.path) for field in self.draft.overtaken)
        self._say(
            f"The file was changed by somebody else. Where you edit, too: {overtaken}. "
            "Your values are kept; look at them before you apply."
            if overtaken
            else ""
        )
        self._fill_tree()
        self._show_page()

    def _fill_tree(self) -> None:
        chosen = self._chosen()
        words = self.search.text().strip().lower()
        self.tree.blockSignals(True)
        self.tree.clear()
        for group in (self.draft.root, *self.draft.root.groups) if not words else ():
            is_root = group is self.draft.root
            if not is_root or group.fields:
                self.tree.addTopLevelItem(_item(group, deep=not is_root))
        if words:
            for group in self.draft.root.walk():
                place = ".".join(group.path).lower()
                if words in place or any(
                    words in f.path[-1] or words in f.title for f in group.fields
                ):
                    item = _item(group, deep=False)
                    item.setText(0, ".".join(group.path) or group.title)
                    self.tree.addTopLevelItem(item)
        self.tree.expandToDepth(0 if len(self.draft.root.groups) > 4 else 1)
        items = self._items()
        back = [item for item in items if item.data(0, _PATH) == chosen]
        if chosen_item := next(iter(back or items), None):
            self.tree.setCurrentItem(chosen_item)
        self.tree.blockSignals(False)
        self._show_page()

    def _items(self) -> list[QTreeWidgetItem]:
        found: list[QTreeWidgetItem] = []
        rest = [self.tree.topLevelItem(row) for row in range(self.tree.topLevelItemCount())]
        while rest:
            item = rest.pop(0)
            if item is not None:
                found.append(item)
                rest = [item.child(row) for row in range(item.childCount())] + rest
        return found

    def _chosen(self) -> Path:
        item = self.tree.currentItem()
        return tuple(item.data(0, _PATH)) if item is not None else ()

    def _show_page(self) -> None:
        path = self._chosen()
        group = next((g for g in self.draft.root.walk() if g.path == path), None)
        if group is None:
            return
        self.heading.setText(".".join(group.path) or self.draft.file)
        self.words.setText(group.words or "")
        self.words.setVisible(bool(group.words))
        rows = [FieldRow(field, self._desk.look) for field in group.fields]
        for row in rows:
            here = row.field.path
            row.edited.connect(lambda value, here=here: self.draft.edit(here, value))
            row.wrong.connect(lambda words, here=here: self.draft.blame(here, words))
        self._page = FieldRows(rows)
        self.pages.setWidget(self._page)
        self._show_edits()

    def _show_edits(self) -> None:
        draft = self.draft
        wrong = dict(draft.problems)
        for path, row in self._page.rows.items() if self._page is not None else ():
            if path not in wrong:
                row.show_value(draft.value(path), is_edited=draft.is_edited(path))
        count = len(draft.edited)
        words = f"{count} value{'s' if count != 1 else ''} changed, not applied"
        if wrong:
            words += f"; {len(wrong)} cannot be"
        elif not count:
            words = f"{draft.file}  ·  revision {draft.revision[:8]}" if draft.file else "…"
            words += "  ·  some values count from the next start" if draft.needs_restart else ""
        self.state.setText(words)
        self.discard_button.setEnabled(bool(count or wrong))
        self.review_button.setEnabled(draft.can_be_reviewed)
        self.review_button.setToolTip(
            "" if draft.can_be_reviewed else "Not now: nothing is changed, or something is wrong"
        )

    def _review(self) -> None:
        self._desk.client.requests.post(
            ("settings", "preview"),
            Preview,
            self.draft.changes(),
            then=lambda preview: self._show_review(preview, ("settings", "apply"), None),
            otherwise=self._refused,
        )

    def _review_version(self, number: int, preview: Preview) -> None:
        self._show_review(preview, ("settings", "revert"), number)

    def _show_review(self, preview: Preview, place: tuple[str, ...], number: int | None) -> None:
        from qnx_hw.api.commands import Revert

        dialog = ReviewDialog(preview, self._desk.look, self)
        dialog.finished.connect(dialog.deleteLater)
        self._reviewing = dialog

        def done(settings: Settings) -> None:
            dialog.accept()
            self._desk.told.emit(f"{settings.file} is changed")
            self.draft.load(settings)
            self.history.load(self._desk)

        def send() -> None:
            body = (
                self.draft.changes()
                if number is None
                else Revert(number=number, revision=preview.revision)
            )
            self._desk.client.requests.post(
                place, Settings, body, then=done, otherwise=lambda why: self._refused(why, dialog)
            )

        dialog.agreed.connect(send)
        dialog.open()

    def _refused(self, reason: str, dialog: ReviewDialog | None = None) -> None:
        """Show a refusal; where the file is another by now, say so and offer to load it."""
        if dialog is not None:
            dialog.refuse(reason)
        self._say(reason)

        def compare(settings: Settings) -> None:
            if settings.revision != self.draft.revision:
                self._say(
                    f"{reason}. Your changes were made from revision {self.draft.revision[:8]}; "
                    f"the file is at {settings.revision[:8]} by now."
                )
                self.reload_button.show()

        self._desk.client.requests.get(
            ("settings",), Settings, then=compare, otherwise=lambda _: None
        )

    def _tell(self, reason: str) -> None:
        self._say(reason)

    def _say(self, words: str) -> None:
        self.stale.setText(words)
        self.stale.setVisible(bool(words))


def _item(group: Group, *, deep: bool) -> QTreeWidgetItem:
    item = QTreeWidgetItem([group.title])
    item.setData(0, _PATH, group.path)
    item.setToolTip(0, ".".join(group.path))
    for inner in group.groups if deep else ():
        item.addChild(_item(inner, deep=True))
    return item


def settings_tool(desk: Desk, window: QWidget) -> None:
    """Offer the settings."""
    opened: list[SettingsWindow] = []

    def show() -> None:
        if not opened:
            opened.append(SettingsWindow(desk, window))
        opened[0].load()
        opened[0].show()
        opened[0].raise_()
        opened[0].activateWindow()

    desk.add_action("settings", "Settings…", show, keys="Ctrl+,", icon="settings-2")
