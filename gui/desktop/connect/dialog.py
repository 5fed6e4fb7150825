"""The dialog that finds an instrument, tries it, and takes it into the network file."""

from __future__ import annotations

import re

from PySide6.QtCore import Qt
from PySide6.QtGui import QCloseEvent, QKeyEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QDialog,
    QGridLayout,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QLineEdit,
    QProgressBar,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

from gui.desktop.connect.search import Search
from gui.desktop.desk import Desk
from gui.desktop.fields import Choice
from gui.desktop.requests import Pending
from gui.desktop.settings.propose import propose
from gui.desktop.words import quantity, span
from qnx_hw.api.commands import Change, Nothing
from qnx_hw.api.discovery import DriverView, FoundInstrument, Place, SearchView, TestRead
from qnx_hw.api.settings import Settings

_HEADINGS = ("driver", "instrument", "address", "how sure")
_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,62}")
_PLAIN_NAMES = {
    "time_tagger": "tagger",
    "photon_detector": "detectors",
    "polarization_controller": "polarization",
}


class ConnectDialog(QDialog):
    """Search on top, finds in the middle, the chosen one below; no step waits for another."""

    def __init__(self, desk: Desk, parent: QWidget) -> None:
        super().__init__(parent)
        self.setWindowTitle("Connect hardware")
        self.setModal(False)
        self._desk = desk
        self._found: tuple[FoundInstrument, ...] = ()
        self._families: dict[str, str] = {}
        self._blinking: set[str] = set()
        self._reading: Pending | None = None
        self.search = Search(desk.client, self)
        self.search.changed.connect(self._show)
        self.search.failed.connect(self._say)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(16, 14, 16, 14)
        layout.setSpacing(10)
        layout.addLayout(self._search_row())
        layout.addLayout(self._progress_row())
        layout.addWidget(self._table(), 1)
        layout.addWidget(self._chosen_box())
        self.resize(820, 600)
        self._offer()
        desk.client.requests.get(
            ("discovery", "drivers"),
            tuple[DriverView, ...],
            then=self._take_drivers,
            otherwise=self._say,
        )

    @property
    def place(self) -> Place | None:
        """The driver and address that are filled in; None where one is missing."""
        driver, url = self.driver.currentText(), self.url.text().strip()
        return Place(driver=driver, url=url) if driver and "://" in url else None

    def keyPressEvent(self, event: QKeyEvent) -> None:
        """Cancel a search with Esc before the dialog goes."""
        if event.key() == Qt.Key.Key_Escape and self.search.is_running:
            self._cancel()
        else:
            super().keyPressEvent(event)

    def closeEvent(self, event: QCloseEvent) -> None:
        """End what is under way."""
        self.done(0)
        super().closeEvent(event)

    def done(self, result: int) -> None:
        """End what is under way, however the dialog goes."""
        self.search.cancel()
        self._forget_reading()
        super().done(result)

    def _search_row(self) -> QHBoxLayout:
        self.usb = QCheckBox("USB ports of the node")
        self.usb.setChecked(True)
        self.hosts = QLineEdit()
        self.hosts.setAccessibleName("Hosts to ask")
        self.hosts.setPlaceholderText("hosts to ask, e.g. 192.168.1.3, 10.0.0.7:8502")
        self.hosts.returnPressed.connect(self._search)
        self.search_button = QPushButton("Search")
        self.search_button.setObjectName("primary")
        self.search_button.setAutoDefault(False)
        self.search_button.clicked.connect(self._search)
        self.cancel_button = QPushButton("Cancel")
        self.cancel_button.setAutoDefault(False)
        self.cancel_button.clicked.connect(self._cancel)
        row = QHBoxLayout()
        for widget in (self.usb, self.hosts, self.search_button, self.cancel_button):
            row.addWidget(widget)
        row.setStretch(1, 1)
        return row

    def _progress_row(self) -> QHBoxLayout:
        self.progress = QProgressBar()
        self.progress.setTextVisible(False)
        self.progress.setFixedHeight(4)
        self.progress.setMaximumWidth(160)
        self.state = QLabel("Only what you name and what its descriptor names is asked.")
        self.state.setObjectName("note")
        self.state.setTextFormat(Qt.TextFormat.PlainText)
        self.state.setWordWrap(True)
        row = QHBoxLayout()
        row.addWidget(self.progress)
        row.addWidget(self.state, 1)
        return row

    def _table(self) -> QTableWidget:
        self.table = QTableWidget(0, len(_HEADINGS))
        self.table.setAccessibleName("Found instruments")
        self.table.setHorizontalHeaderLabels(list(_HEADINGS))
        self.table.verticalHeader().hide()
        self.table.setShowGrid(False)
        self.table.setEditTriggers(QTableWidget.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QTableWidget.SelectionBehavior.SelectRows)
        self.table.setSelectionMode(QTableWidget.SelectionMode.SingleSelection)
        self.table.setTabKeyNavigation(False)
        header = self.table.horizontalHeader()
        header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
        header.setSectionResizeMode(1, QHeaderView.ResizeMode.Stretch)
        self.table.itemSelectionChanged.connect(self._choose)
        return self.table

    def _chosen_box(self) -> QWidget:
        box = QWidget()
        self.driver = Choice("Driver")
        self.driver.currentTextChanged.connect(lambda _: self._offer())
        self.url = QLineEdit()
        self.url.setAccessibleName("Address of the instrument")
        self.url.setPlaceholderText("tcp://HOST:PORT or serial:///dev/ttyUSB0")
        self.url.textChanged.connect(lambda _: self._offer())
        self.blink_button = QPushButton("Identify")
        self.blink_button.clicked.connect(self._blink)
        self.read_button = QPushButton("Test read")
        self.read_button.clicked.connect(self._read)
        self.answer = QLabel()
        self.answer.setObjectName("mono")
        self.answer.setAccessibleName("What the instrument said")
        self.answer.setTextFormat(Qt.TextFormat.PlainText)
        self.answer.setWordWrap(True)
        self.answer.setMinimumHeight(86)
        self.answer.setAlignment(Qt.AlignmentFlag.AlignTop)
        self.node = Choice("Node that shall work with it")
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the instrument")
        self.name.textChanged.connect(lambda _: self._offer())
        self.add_button = QPushButton("Add to the network file…")
        self.add_button.setObjectName("primary")
        self.add_button.clicked.connect(self._add)
        for button in (self.blink_button, self.read_button, self.add_button):
            button.setAutoDefault(False)
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 0, 0, 0)
        grid.addWidget(QLabel("Driver"), 0, 0)
        grid.addWidget(self.driver, 0, 1)
        grid.addWidget(self.url, 0, 2)
        grid.addWidget(self.blink_button, 0, 3)
        grid.addWidget(self.read_button, 0, 4)
        grid.addWidget(self.answer, 1, 0, 1, 5)
        grid.addWidget(QLabel("As"), 2, 0)
        grid.addWidget(self.node, 2, 1)
        grid.addWidget(self.name, 2, 2)
        grid.addWidget(self.add_button, 2, 3, 1, 2)
        grid.setColumnStretch(2, 1)
        self.node.show_choices(
            tuple(self._desk.client.nodes), next(iter(self._desk.client.nodes), "")
        )
        return box

    def _search(self) -> None:
        hosts = tuple(part for part in re.split(r"[,\s]+", self.hosts.text().strip()) if part)
        self._say("The node begins to search…")
        self.search.start(hosts, usb=self.usb.isChecked())
        self._offer()

    def _cancel(self) -> None:
        self.search.cancel()
        self._say("Cancelled.")

    def _show(self, view: SearchView) -> None:
        self.progress.setMaximum(max(view.total, 1))
        self.progress.setValue(view.done if view.total else 1)
        parts = [f"asking {view.asking}"] if view.is_running else [f"{len(view.found)} found"]
        parts += [*view.problems, *(f"left alone: {each}" for each in view.skipped)]
        self._say("  ·  ".join(parts))
        if view.found != self._found:
            self._found = view.found
            self._fill()

    def _fill(self) -> None:
        self.table.setRowCount(len(self._found))
        for row, each in enumerate(self._found):
            who = " ".join(filter(None, (each.maker, each.model, each.serial))) or each.note
            for column, words in enumerate((each.driver, who, each.url, each.confidence)):
                item = QTableWidgetItem(words)
                item.setToolTip(each.note)
                self.table.setItem(row, column, item)
        if self._found and not self.table.selectedItems():
            self.table.selectRow(0)

    def _choose(self) -> None:
        row = self.table.currentRow()
        if not 0 <= row < len(self._found):
            return
        found = self._found[row]
        self.driver.setCurrentText(found.driver)
        self.url.setText(found.url)
        self.name.setText(self._free_name(found.driver))
        self._forget_reading()
        self.answer.clear()
        self._offer()

    def _free_name(self, driver: str) -> str:
        wish = _PLAIN_NAMES.get(self._families.get(driver, ""), driver)
        node = self._desk.client.nodes.get(self.node.currentText())
        taken = {each.name for each in node.instruments} if node is not None else set()
        numbered = (f"{wish}-{number}" for number in range(2, len(taken) + 3))
        return next(name for name in (wish, *numbered) if name not in taken)

    def _take_drivers(self, drivers: tuple[DriverView, ...]) -> None:
        self._families = {each.name: each.family for each in drivers}
        self._blinking = {each.name for each in drivers if each.can_blink}
        usable = tuple(each.name for each in drivers if not each.error)
        self.driver.show_choices(usable, self.driver.currentText() or (usable or ("",))[0])
        self._offer()

    def _blink(self) -> None:
        place = self.place
        if place is not None:
            self.blink_button.setEnabled(False)
            self._reading = self._desk.client.requests.post(
                ("discovery", "identify"),
                Nothing,
                place,
                then=lambda _: self._answered("It blinks."),
                otherwise=self._answered,
            )

    def _read(self) -> None:
        place = self.place
        if place is None:
            return
        self._forget_reading()
        self.answer.setText(f"connecting to {place.url}…")
        self.read_button.setEnabled(False)
        self._reading = self._desk.client.requests.post(
            ("discovery", "read"),
            TestRead,
            place,
            then=lambda read: self._answered(read_words(read)),
            otherwise=self._answered,
        )

    def _answered(self, words: str) -> None:
        self._reading = None
        self.answer.setText(words)
        self._offer()

    def _forget_reading(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None

    def _add(self) -> None:
        place, name = self.place, self.name.text().strip()
        if place is None:
            return
        here = ("nodes", self.node.currentText(), "instruments", name)
        changes = (
            Change(path=(*here, "driver"), value=place.driver),
            Change(path=(*here, "url"), value=place.url),
        )

        def done(settings: Settings) -> None:
            self._say(f"{name} is in {settings.file}; it is connected from the next start on.")
            self._desk.told.emit(f"{name} is in {settings.file}")

        propose(self._desk, self, changes, then=done, otherwise=self._say)

    def _say(self, words: str) -> None:
        self.state.setText(words)
        self._offer()

    def _offer(self) -> None:
        is_running, place = self.search.is_running, self.place
        self.cancel_button.setEnabled(is_running)
        self.search_button.setEnabled(not is_running)
        if not is_running:
            self.progress.setMaximum(1)
        is_waiting = self._reading is not None
        self.read_button.setEnabled(place is not None and not is_waiting)
        can_blink = place is not None and place.driver in self._blinking
        self.blink_button.setEnabled(can_blink and not is_waiting)
        self.blink_button.setToolTip("" if can_blink else "Not now: it cannot blink")
        is_named = bool(_NAME.fullmatch(self.name.text().strip()))
        self.add_button.setEnabled(place is not None and is_named)
        self.add_button.setToolTip(
            "" if self.add_button.isEnabled() else "Not now: it needs an address and a name"
        )


def read_words(read: TestRead) -> str:
    """Write what a test read brought."""
    who = " ".join(filter(None, (read.maker, read.model, read.serial, read.firmware)))
    numbers = ", ".join(
        f"{each.name} {quantity(each.value, each.unit.replace('1/s', 'cps'))}"
        for each in read.readings[:8]
    )
    settings = ", ".join(f"{name}={value}" for name, value in list(read.settings.items())[:8])
    lines = [f"{who}  ({read.family.replace('_', ' ')}, answered in {span(read.took_s)})"]
    lines += [numbers] if numbers else []
    return "\n".join([*lines, settings] if settings else lines)


def connect_tool(desk: Desk, window: QWidget) -> None:
    """Offer to connect hardware."""

    def show() -> None:
        dialog = ConnectDialog(desk, window)
        dialog.finished.connect(dialog.deleteLater)
        dialog.show()

    desk.add_action("connect", "Connect hardware…", show, keys="Ctrl+Shift+H", icon="plug-zap")
