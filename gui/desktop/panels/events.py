"""What happened, newest first: filtered, acknowledged, followed to where it came from."""

from __future__ import annotations

from datetime import datetime
from functools import partial

from PySide6.QtCore import QAbstractTableModel, QModelIndex, QPersistentModelIndex, QPoint, Qt
from PySide6.QtGui import QColor, QIcon
from PySide6.QtWidgets import (
    QAbstractItemView,
    QHBoxLayout,
    QLineEdit,
    QMenu,
    QPushButton,
    QTableView,
)

from gui.desktop.desk import Desk
from gui.desktop.event_log import EventLog
from gui.desktop.exports import Table
from gui.desktop.look import Look, mono_font
from gui.desktop.panels.choices import add_choices
from gui.desktop.panels.instruments import CARDS
from gui.desktop.panels.panel import Panel
from qnx_hw.api.schema import Event, Level

_HEADINGS = ("Time", "Level", "Source", "Message")
_ICONS = {
    Level.OK: "circle-check",
    Level.INFO: "info",
    Level.WARNING: "triangle-alert",
    Level.ALARM: "circle-x",
}
_LEVELS = {
    "All": frozenset(Level),
    "Warnings": frozenset({Level.WARNING, Level.ALARM}),
    "Alarms": frozenset({Level.ALARM}),
}
_FLUSH_FRAMES = 3
"""The table takes in what is new at a third of the frames."""
Index = QModelIndex | QPersistentModelIndex


class EventsPanel(Panel):
    """The event log. Enter or a double click acknowledges an alarm, or jumps to its source."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("events", "Events", "list", desk)
        self.model = EventModel(desk.look)
        self.model.setParent(self)
        self.table = QTableView()
        self.table.setModel(self.model)
        self.table.setAccessibleName("Events")
        self.table.setShowGrid(False)
        self.table.setWordWrap(False)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        self.table.setContextMenuPolicy(Qt.ContextMenuPolicy.CustomContextMenu)
        self.table.customContextMenuRequested.connect(self._open_menu)
        self.table.doubleClicked.connect(lambda _: self.jump())
        self.table.verticalHeader().hide()
        self.table.verticalHeader().setDefaultSectionSize(23)
        self.table.horizontalHeader().setStretchLastSection(True)
        self.table.horizontalHeader().setHighlightSections(False)
        self.table.horizontalHeader().setDefaultAlignment(Qt.AlignmentFlag.AlignLeft)
        for column, width in enumerate((112, 104, 130)):
            self.table.setColumnWidth(column, width)
        names = [(text, f"Show {text.lower()}") for text in _LEVELS]
        self.levels = add_choices(self, self.tools, names, "All", self._use_levels)
        self.filter = QLineEdit()
        self.filter.setAccessibleName("Filter of events")
        self.filter.setPlaceholderText("Filter by source or words")
        self.filter.setClearButtonEnabled(True)
        self.filter.textChanged.connect(self._use_words)
        self.acknowledge_button = QPushButton("Acknowledge")
        self.acknowledge_button.clicked.connect(self.acknowledge)
        self.jump_button = QPushButton("Jump to source")
        self.jump_button.clicked.connect(self.jump)
        row = QHBoxLayout()
        row.addWidget(self.filter, 1)
        row.addWidget(self.acknowledge_button)
        row.addWidget(self.jump_button)
        self.body.addLayout(row)
        self.body.addWidget(self.table, 1)
        self.table.selectionModel().selectionChanged.connect(lambda *_: self._enable())
        self._frames = 0
        self._enable()

    def draw(self) -> bool:
        """Take in what is new in batches."""
        self._frames += 1
        return super().draw() if self._frames % _FLUSH_FRAMES == 0 else False

    def refresh(self) -> None:
        """Show the newest events."""
        self.model.follow(self.client.events)
        waiting = self.client.events.unacknowledged
        self.subtitle.setText(f"{waiting} to acknowledge" if waiting else "")
        self._enable()

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self.model.recolour()

    def export_table(self) -> Table | None:
        """Return what passes the filter, newest first."""
        rows = [self.model.at(row) for row in range(self.model.rowCount())]
        if not rows:
            return None
        heads = (
            "unix time (s)", "level", "source", "message", "acknowledged by", "over at (unix s)",
        )  # fmt: skip
        return Table(
            heads,
            tuple(
                (e.time_s, e.level, e.source, e.message, e.acknowledged_by, e.cleared_s)
                for e in rows
            ),
        )

    def selected(self) -> list[Event]:
        """Return the selected events."""
        return [self.model.at(i.row()) for i in self.table.selectionModel().selectedRows()]

    def acknowledge(self) -> None:
        """Have the node mark the selected events as seen, or all alarms where none is selected."""
        chosen = self.selected()
        if not chosen:
            log = self.client.events.events
            chosen = [e for e in log if e.level is Level.ALARM and e.is_open]
        for event in chosen:
            if not event.is_acknowledged:
                self.client.requests.post(("events", str(event.number), "acknowledge"), Event)

    def jump(self) -> None:
        """Show what the selected event speaks of: its link, or its instrument."""
        for event in self.selected()[:1]:
            node, _, name = event.source.partition(" ")
            if event.source in self.client.links:
                self.desk.choose_link(event.source)
                self.desk.wanted.emit("errors")
            elif event.source in self.client.loops:
                self.desk.wanted.emit("polarization")
            elif node in self.client.nodes:
                self._jump_to_instrument(node, name)
            else:
                self.desk.told.emit(f"'{event.source}' has no card of its own")

    def _jump_to_instrument(self, node: str, name: str) -> None:
        family = next((x.family for x in self.client.nodes[node].instruments if x.name == name), "")
        self.desk.wanted.emit("instruments")
        self.desk.choose_instrument(node, name)
        if family in CARDS:
            self.desk.wanted.emit(CARDS[family])

    def _enable(self) -> None:
        chosen = self.selected()
        waiting = self.client.events.unacknowledged
        can = any(not e.is_acknowledged for e in chosen) if chosen else waiting > 0
        self.acknowledge_button.setText("Acknowledge" if chosen else "Acknowledge all")
        self.acknowledge_button.setEnabled(can and self.client.is_live)
        self.acknowledge_button.setToolTip("" if can else "Nothing waits to be acknowledged")
        self.jump_button.setEnabled(len(chosen) == 1)
        self.jump_button.setToolTip("" if len(chosen) == 1 else "Choose one event")

    def _open_menu(self, place: QPoint) -> None:
        menu = QMenu(self.table)
        menu.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        menu.addAction("Acknowledge", self.acknowledge)
        menu.addAction("Jump to source", self.jump)
        for event in self.selected()[:1]:
            menu.addAction(f"Only '{event.source}'", partial(self.filter.setText, event.source))
        menu.popup(self.table.viewport().mapToGlobal(place))

    def _use_levels(self, text: str) -> None:
        self.model.filter(_LEVELS[text], self.filter.text())

    def _use_words(self, words: str) -> None:
        chosen = next(text for text, button in self.levels.items() if button.isChecked())
        self.model.filter(_LEVELS[chosen], words)


class EventModel(QAbstractTableModel):
    """Events of a log as rows, the newest first; it takes in only what is new."""

    def __init__(self, look: Look) -> None:
        super().__init__()
        self._look = look
        self._log = EventLog()
        self._epoch = -1
        self._seen = self._changed = 0
        self._levels = _LEVELS["All"]
        self._words = ""
        self._places: list[int] = []
        """Of the events that pass the filter, in the log, oldest first."""
        self._icons: dict[Level, QIcon] = {}

    def follow(self, log: EventLog) -> None:
        """Take in what is new in a log."""
        if log is not self._log or log.epoch != self._epoch:
            self._log = log
            self._start_anew()
            return
        fresh = self._passing(self._seen, len(log.events))
        self._seen = len(log.events)
        if fresh:
            self.beginInsertRows(QModelIndex(), 0, len(fresh) - 1)
            self._places += fresh
            self.endInsertRows()
        if self._changed != len(log.changed) and self._places:
            self._changed = len(log.changed)
            last = self.index(self.rowCount() - 1, len(_HEADINGS) - 1)
            self.dataChanged.emit(self.index(0, 0), last)

    def filter(self, levels: frozenset[Level], words: str) -> None:
        """Show only events of these levels that contain these words."""
        self._levels, self._words = levels, words.lower().strip()
        self._start_anew()

    def recolour(self) -> None:
        """Take over the colours of the theme."""
        self._icons = {}
        self.layoutChanged.emit()

    def at(self, row: int) -> Event:
        """Return the event of a row."""
        return self._log.events[self._places[-1 - row]]

    def rowCount(self, parent: Index | None = None) -> int:
        """Return the number of events that pass."""
        return 0 if parent is not None and parent.isValid() else len(self._places)

    def columnCount(self, parent: Index | None = None) -> int:
        """Return the number of columns."""
        return 0 if parent is not None and parent.isValid() else len(_HEADINGS)

    def headerData(
        self, section: int, orientation: Qt.Orientation, role: int = Qt.ItemDataRole.DisplayRole
    ) -> object:
        """Return a column's heading."""
        if orientation is Qt.Orientation.Horizontal and role == Qt.ItemDataRole.DisplayRole:
            return _HEADINGS[section]
        return None

    def data(self, index: Index, role: int = Qt.ItemDataRole.DisplayRole) -> object:
        """Return what a cell shows."""
        if not index.isValid():
            return None
        event, column = self.at(index.row()), index.column()
        shown: object = None
        if role == Qt.ItemDataRole.DisplayRole:
            shown = _cell(event, column)
        elif role == Qt.ItemDataRole.ToolTipRole:
            shown = _tip(event)
        elif role == Qt.ItemDataRole.FontRole and column in (0, 2):
            shown = mono_font()
        elif role == Qt.ItemDataRole.ForegroundRole:
            shown = self._colour(event, column)
        elif role == Qt.ItemDataRole.DecorationRole and column == 1:
            shown = self._icon(event.level)
        return shown

    def _passing(self, begin: int, end: int) -> list[int]:
        levels, words, events = self._levels, self._words, self._log.events
        if not words:
            return [place for place in range(begin, end) if events[place].level in levels]
        return [
            place
            for place in range(begin, end)
            if events[place].level in levels
            and (words in events[place].message.lower() or words in events[place].source.lower())
        ]

    def _start_anew(self) -> None:
        self.beginResetModel()
        self._epoch, self._changed = self._log.epoch, len(self._log.changed)
        self._seen = len(self._log.events)
        self._places = self._passing(0, self._seen)
        self.endResetModel()

    def _colour(self, event: Event, column: int) -> QColor | None:
        colours = self._look.colours
        is_over = event.cleared_s is not None
        if column == 1 and not is_over:
            return QColor(self._tint(event.level))
        if column in (0, 2) or is_over or event.is_acknowledged or event.is_muted:
            return QColor(colours.dim)
        return None

    def _icon(self, level: Level) -> QIcon:
        if level not in self._icons:
            self._icons[level] = self._look.icon(_ICONS[level], self._tint(level))
        return self._icons[level]

    def _tint(self, level: Level) -> str:
        colours = self._look.colours
        return {
            Level.OK: colours.ok,
            Level.INFO: colours.accent,
            Level.WARNING: colours.warn,
            Level.ALARM: colours.error,
        }[level]


def _cell(event: Event, column: int) -> str:
    if column == 0:
        time = datetime.fromtimestamp(event.time_s).astimezone()
        return f"{time:%H:%M:%S}.{time.microsecond // 1000:03d}"
    if column == 1:
        return "OK" if event.level is Level.OK else event.level.capitalize()
    if column == 2:
        return event.source
    mark = "✓ " if event.is_acknowledged else "muted · " if event.is_muted else ""
    over = "over · " if event.cleared_s is not None else ""
    return mark + over + event.message


def _tip(event: Event) -> str:
    when = datetime.fromtimestamp(event.time_s).astimezone()
    by = f"\nacknowledged by {event.acknowledged_by or 'somebody'}" if event.is_acknowledged else ""
    over = ""
    if event.cleared_s is not None:
        over = f"\nover since {datetime.fromtimestamp(event.cleared_s).astimezone():%H:%M:%S}"
    return f"{when.isoformat(timespec='milliseconds')}\n{event.message}{over}{by}"
