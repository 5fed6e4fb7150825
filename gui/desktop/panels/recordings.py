"""Recordings: begin, end, list, and show one again."""

from __future__ import annotations

from pathlib import Path

from PySide6.QtCore import QDir, Qt, QTimer
from PySide6.QtWidgets import QFileDialog, QHBoxLayout, QLabel, QLineEdit, QPushButton, QWidget

from gui.desktop.desk import Desk
from gui.desktop.exports import Table
from gui.desktop.fields import Choice
from gui.desktop.panels.panel import Panel
from gui.desktop.recordings.replay import SPEEDS, Replay
from gui.desktop.traffic.rows import Column, RowsModel
from gui.desktop.traffic.table import RowsTable
from gui.desktop.words import clock, quantity, span
from qnx_hw.api.commands import StartRecording
from qnx_hw.api.recordings import RecordingView

AGAIN_MS = 2_000
"""After so long a list that could not be had is asked for again."""
NOT_LISTED = "recordings cannot be listed"
NOTE = "A replay runs beside the node and touches no instrument."


class RecordingsPanel(Panel):
    """The recordings of the node; the one that runs comes first and grows."""

    def __init__(self, desk: Desk) -> None:
        super().__init__("recordings", "Recordings", "circle-dot", desk)
        self._finished: dict[str, RecordingView] = {}
        self._listed_of = ("", False)
        self.rows: RowsModel[RecordingView] = RowsModel(_columns())
        self.view = RowsTable("Recordings", self.rows, wide=0)
        self.view.chosen.connect(lambda _: self._offer())
        self.name = QLineEdit()
        self.name.setAccessibleName("Name of the recording")
        self.name.setPlaceholderText("name, or time and network")
        self.record_button = QPushButton("Record")
        self.record_button.clicked.connect(self.toggle)
        self.speed = Choice("Speed of the replay")
        self.speed.show_choices(tuple(f"{speed}×" for speed in SPEEDS), "1×")
        self.replay_button = QPushButton("Replay…")
        self.replay_button.clicked.connect(self._replay)
        self.note = QLabel(NOTE)
        self.note.setObjectName("note")
        self.note.setTextFormat(Qt.TextFormat.PlainText)
        self.note.setWordWrap(True)
        self._again = QTimer(self)
        self._again.setSingleShot(True)
        self._again.setInterval(AGAIN_MS)
        self._again.timeout.connect(self._ask_again)
        self.replay = Replay(desk.client, self)
        self.replay.changed.connect(self._offer)
        self.replay.said.connect(self.note.setText)
        top, bottom = QHBoxLayout(), QHBoxLayout()
        top.addWidget(self.name, 1)
        top.addWidget(self.record_button)
        bottom.addWidget(self.note, 1)
        bottom.addWidget(self.speed)
        bottom.addWidget(self.replay_button)
        self.body.addLayout(top)
        self.body.addWidget(self.view, 1)
        self.body.addLayout(bottom)
        self._offer()

    @property
    def running(self) -> RecordingView | None:
        """The recording that runs."""
        return next((each for each in self.client.recordings.values() if each.is_running), None)

    def refresh(self) -> None:
        """Draw the newest list; the finished ones are asked for when one ends."""
        running = self.running
        state = (self.client.url, running is not None)
        if state != self._listed_of and self.client.is_live:
            self._listed_of = state
            self.client.requests.get(
                ("recordings",),
                tuple[RecordingView, ...],
                then=self._list,
                otherwise=self._not_listed,
            )
        everything = {**self._finished, **self.client.recordings}
        self.rows.show_views(
            sorted(everything.values(), key=lambda each: (not each.is_running, -each.started_s))
        )
        self.subtitle.setText("" if running is None else f"REC {span(running.duration_s)}")
        self._offer()

    def export_table(self) -> Table | None:
        """Return all recordings."""
        return self.view.table()

    def toggle(self) -> None:
        """Begin a recording, or end the one that runs."""
        self.record_button.setEnabled(False)
        if self.running is not None:
            path, body = ("recordings", "stop"), None
        else:
            path, body = ("recordings", "start"), StartRecording(name=self.name.text().strip())
        self.client.requests.post(
            path, RecordingView, body, then=lambda _: self._answered(""), otherwise=self._answered
        )

    def _answered(self, words: str) -> None:
        self.note.setText(words)
        self._offer()
        self.redraw()

    def _not_listed(self, words: str) -> None:
        self.note.setText(f"{NOT_LISTED}: {words}")
        self._again.start()

    def _ask_again(self) -> None:
        self._listed_of = ("", False)
        self.redraw()

    def _list(self, found: tuple[RecordingView, ...]) -> None:
        if self.note.text().startswith(NOT_LISTED):
            self.note.setText(NOTE)
        self._finished = {each.name: each for each in found}
        self.redraw()

    def _replay(self) -> None:
        if self.replay.is_running:
            self.replay.stop()
            return
        if (folder := self._folder()) is not None:
            self.replay.start(folder, self.speed.currentText().removesuffix("×"))

    def _folder(self) -> Path | None:
        """Return the chosen recording's folder; ask where this machine does not have it."""
        name = self.view.name()
        known = self._finished.get(name) or self.client.recordings.get(name)
        if known is not None and known.folder and Path(known.folder).is_dir():
            return Path(known.folder)
        title = f"Folder of the recording {name}".strip()
        found = QFileDialog.getExistingDirectory(self, title, QDir.currentPath())
        return Path(found) if found else None

    def _offer(self) -> None:
        is_running = self.running is not None
        self.record_button.setText("Stop recording" if is_running else "Record")
        self.name.setEnabled(not is_running)
        self.replay_button.setText("End the replay" if self.replay.is_running else "Replay…")
        self.record_button.setEnabled(self.client.is_live and not self.replay.is_running)


def _columns() -> tuple[Column[RecordingView], ...]:
    return (
        Column("recording", lambda r: r.name, lambda r: r.name),
        Column("begun", lambda r: clock(r.started_s), lambda r: r.started_s, "begun (Unix s)"),
        Column(
            "length", lambda r: span(r.duration_s), lambda r: r.duration_s, "length (s)",
            is_number=True,
        ),
        Column("tags", lambda r: quantity(r.tags, ""), lambda r: r.tags, is_number=True),
        Column(
            "size", lambda r: quantity(r.size_bytes, "B"), lambda r: r.size_bytes, "size (B)",
            is_number=True,
        ),
        Column("gaps", lambda r: str(r.gaps), lambda r: r.gaps, is_number=True),
        Column("source", _source, _source),
    )  # fmt: skip


def _source(recording: RecordingView) -> str:
    return "simulated" if recording.is_simulated else "hardware"


def record_tool(desk: Desk, window: QWidget) -> None:
    """Offer to begin and end a recording from anywhere."""

    def toggle() -> None:
        panel = window.findChild(RecordingsPanel)
        if isinstance(panel, RecordingsPanel) and desk.client.is_live:
            panel.toggle()

    desk.add_action("record", "Record", toggle, keys="Ctrl+R", icon="circle-dot")
